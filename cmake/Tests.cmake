# How tests are registered. One CTest entry per gtest binary or Python file: listing the cases of a
# sanitizer binary one process at a time would cost more than running them. The cases, with skips
# and their reasons, are in the result files that tests/support/summary.py adds up.

# nx_gtest(TARGET LABEL [LOCK name...]): every gtest binary runs in its own mount and pid namespace,
# so that a failing test leaves no process and no mount.
function(nx_gtest target label)
  cmake_parse_arguments(ARG "" "TIMEOUT" "LOCK" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  string(REGEX REPLACE "^nx_(contract_|root_)?(.*)_test$" "\\2" short ${target})
  add_test(NAME ${label}/${short} COMMAND nx_in_sandbox $<TARGET_FILE:${target}>)
  set_tests_properties(${label}/${short} PROPERTIES LABELS ${label} TIMEOUT ${ARG_TIMEOUT})
  if(ARG_LOCK)
    set_tests_properties(${label}/${short} PROPERTIES RESOURCE_LOCK "${ARG_LOCK}")
  endif()
endfunction()

# Commands that run for an instant are not searched for leaks, which takes a third of their time; the
# gtest binaries are.
# nx_python(NAME LABEL FILE [LOCK name...] [ENV name=value...] [TIMEOUT s] [COST n]): a unittest file, in
# the same sandbox; the highest cost begins first. Its results are written under NX_SUITE, so that one
# file can be run with several environments.
function(nx_python name label file)
  cmake_parse_arguments(ARG "" "TIMEOUT;COST" "LOCK;ENV" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 600)
  endif()
  add_test(NAME ${label}/${name}
    COMMAND nx_in_sandbox ${Python3_EXECUTABLE} -B ${CMAKE_SOURCE_DIR}/tests/support/unittests.py
      ${file})
  set_tests_properties(${label}/${name} PROPERTIES LABELS ${label} TIMEOUT ${ARG_TIMEOUT}
    ENVIRONMENT "ASAN_OPTIONS=detect_leaks=0;NX_BUILD=${CMAKE_BINARY_DIR};NX_SOURCE=${CMAKE_SOURCE_DIR};NX_SUITE=${label}_${name};${ARG_ENV}")
  if(ARG_LOCK)
    set_tests_properties(${label}/${name} PROPERTIES RESOURCE_LOCK "${ARG_LOCK}")
  endif()
  if(ARG_COST)
    set_tests_properties(${label}/${name} PROPERTIES COST ${ARG_COST})
  endif()
endfunction()
