# One library per folder of src/, linked only to what it may use.
#
# The rule "a folder uses only folders above it" is kept by the include path: headers are included as
# "nexcage/<folder>/x.h", and the directory that makes this name resolve belongs to the folder's
# target. A folder that is not linked is not found.

# DIR: a part of a folder that is linked apart from it (image/content: the helper's libraries). Its
# headers resolve through its folder's name, so the folder must be among USES.
function(nx_folder name)
  cmake_parse_arguments(ARG "" "DIR" "USES;LIBRARIES;EXCLUDE" ${ARGN})
  if(NOT ARG_DIR)
    set(ARG_DIR ${name})
  endif()
  set(source_dir ${CMAKE_SOURCE_DIR}/src/${ARG_DIR})
  file(GLOB sources CONFIGURE_DEPENDS ${source_dir}/*.cc ${source_dir}/*/*.cc)
  foreach(pattern ${ARG_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX "${pattern}")
  endforeach()
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")

  set(include_dir ${CMAKE_BINARY_DIR}/include/${name})
  if(ARG_DIR STREQUAL name)
    file(MAKE_DIRECTORY ${include_dir}/nexcage)
    file(CREATE_LINK ${source_dir} ${include_dir}/nexcage/${name} SYMBOLIC)
  endif()

  if(sources)
    add_library(nx_${name} STATIC ${sources})
    nx_precompiled(nx_${name} nx_pch)
    set(scope PUBLIC)
  else()
    add_library(nx_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  if(ARG_DIR STREQUAL name)
    target_include_directories(nx_${name} ${scope} ${include_dir})
  endif()
  foreach(used ${ARG_USES})
    target_link_libraries(nx_${name} ${scope} nx_${used})
  endforeach()
  target_link_libraries(nx_${name} ${scope} ${ARG_LIBRARIES})

  if(NEXCAGE_TESTS AND tests)
    add_executable(nx_${name}_test ${tests})
    nx_precompiled(nx_${name}_test nx_test_pch)
    target_link_libraries(nx_${name}_test PRIVATE nx_${name} nx_testing GTest::gmock GTest::gtest_main)
    nx_gtest(nx_${name}_test unit)
  endif()
endfunction()
