# Flags that every target has. Warnings are errors in every build type.
add_compile_options(-Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -fno-plt
  -fstack-protector-strong -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
add_compile_definitions(_GNU_SOURCE FMT_HEADER_ONLY=0)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # Optimising, g++ 12 sees overlapping copies in "text" + std::string (GCC bug 105651).
    add_compile_options(-Wno-restrict)
  endif()
endif()
if(NEXCAGE_SANITIZE)
  add_compile_options(-fsanitize=${NEXCAGE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  if(NEXCAGE_SANITIZE MATCHES "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # A null pointer ends the test under AddressSanitizer anyway. These two checks stand at every
    # access and take a third of the time that building takes; the fuzzers have them.
    add_compile_options(-fno-sanitize=null,alignment)
  endif()
  add_link_options(-fsanitize=${NEXCAGE_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # The sanitizers' descriptions of checks and variables are half a million addresses: to relocate
    # them took half of the time of a short command, and tests run thousands.
    set(CMAKE_POSITION_INDEPENDENT_CODE OFF)
    add_compile_options(-fno-pie)
    add_link_options(-no-pie)
  endif()
  # g++ 12 sees uninitialized members in moved-from std::variant once it is instrumented; the
  # sanitizers themselves look at run time, and the release build keeps the warning.
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
if(NEXCAGE_FUZZERS)
  # Coverage for libFuzzer in all libraries; only the harnesses link its main().
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(NEXCAGE_TESTPOINTS)
  add_compile_definitions(NEXCAGE_TESTPOINTS)
endif()
add_link_options(-Wl,-z,relro,-z,now)

# The sanitizer builds read the headers that everybody includes once. The release and tidy builds do
# not, so that a file that forgets an include is found.
option(NEXCAGE_PCH "Precompile the headers of the C++ library and of GoogleTest" OFF)
if(NEXCAGE_PCH)
  set(pch_source ${CMAKE_BINARY_DIR}/pch.cc)
  file(CONFIGURE OUTPUT ${pch_source} CONTENT "int main() { return 0; }\n")
  set(pch_headers <algorithm> <array> <chrono> <expected> <functional> <map> <memory> <optional>
    <span> <string> <string_view> <utility> <variant> <vector>)
  add_library(nx_pch STATIC ${pch_source})
  target_precompile_headers(nx_pch PRIVATE ${pch_headers})
  if(NEXCAGE_TESTS)
    # Another one: what is precompiled fits only one set of options.
    add_executable(nx_test_pch ${pch_source})
    target_link_libraries(nx_test_pch PRIVATE GTest::gmock GTest::gtest_main)
    target_precompile_headers(nx_test_pch PRIVATE ${pch_headers} <gtest/gtest.h> <gmock/gmock.h>)
  endif()
endif()

# Several files are compiled as one, which takes a quarter of the time that each by itself takes.
# clang-tidy sees each by itself, so that a file that forgets an include is found.
option(NEXCAGE_UNITY "Compile the files of a folder several at a time" OFF)
if(NEXCAGE_UNITY)
  set(CMAKE_UNITY_BUILD ON)
  set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)
  # It takes an unnamed namespace in what was a source file for one in a header.
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()

# nx_apart(FILE...): files with names of their own in the unnamed namespace that others have too.
function(nx_apart)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# nx_precompiled(TARGET FROM): uses the precompiled headers of nx_pch (libraries) or nx_test_pch.
function(nx_precompiled target from)
  if(NEXCAGE_PCH)
    target_precompile_headers(${target} REUSE_FROM ${from})
  endif()
endfunction()
