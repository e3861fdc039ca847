# What ctest reads when it starts, after it has read the cases of one test program (sockmesh_test writes the lines that
# include this file): things that are known only then, or of single cases only.
#
#   cases          all cases of the program
#   timeout        seconds that a case may take, multiplied by SOCKMESH_TEST_SLOW as the deadlines inside the cases are
#   labels
#   not_in_guest   cases that get the label not-in-guest as well
cmake_policy(VERSION 3.25)
if("$ENV{SOCKMESH_TEST_SLOW}" MATCHES "^([0-9]+)")
  if(CMAKE_MATCH_1 GREATER 1)
    math(EXPR timeout "${timeout} * ${CMAKE_MATCH_1}")
  endif()
endif()
set_tests_properties(${cases} PROPERTIES TIMEOUT ${timeout})

foreach(case IN LISTS not_in_guest)
  # A case that was renamed would run for an hour in the next guest.
  if(NOT case IN_LIST cases)
    message(FATAL_ERROR "NOT_IN_GUEST names '${case}', which is not among: ${cases}")
  endif()
  set_tests_properties(${case} PROPERTIES LABELS "${labels};not-in-guest")
endforeach()
