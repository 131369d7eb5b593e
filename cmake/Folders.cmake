# One library per folder of src/, linked only to what it may use.
#
# The rule "a folder uses only folders above it" is kept by the include path: headers are included as
# "nexcage/<folder>/x.h", and the directory that makes this name resolve belongs to the folder's
# target. A folder that is not linked is not found.

function(nx_folder name)
  cmake_parse_arguments(ARG "" "" "USES;LIBRARIES;EXCLUDE" ${ARGN})
  set(source_dir ${CMAKE_SOURCE_DIR}/src/${name})
  file(GLOB sources CONFIGURE_DEPENDS ${source_dir}/*.cc ${source_dir}/*/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  foreach(pattern ${ARG_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX "${pattern}")
  endforeach()

  set(include_dir ${CMAKE_BINARY_DIR}/include/${name})
  file(MAKE_DIRECTORY ${include_dir}/nexcage)
  file(CREATE_LINK ${source_dir} ${include_dir}/nexcage/${name} SYMBOLIC)

  if(sources)
    add_library(nx_${name} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(nx_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(nx_${name} ${scope} ${include_dir})
  foreach(used ${ARG_USES})
    target_link_libraries(nx_${name} ${scope} nx_${used})
  endforeach()
  target_link_libraries(nx_${name} ${scope} ${ARG_LIBRARIES})

  if(NEXCAGE_TESTS AND tests)
    add_executable(nx_${name}_test ${tests})
    target_link_libraries(nx_${name}_test PRIVATE nx_${name} nx_testing GTest::gmock GTest::gtest_main)
    gtest_discover_tests(nx_${name}_test TEST_PREFIX "unit/${name}/" PROPERTIES LABELS unit
      DISCOVERY_MODE PRE_TEST)
  endif()
endfunction()
