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
  add_link_options(-fsanitize=${NEXCAGE_SANITIZE})
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
