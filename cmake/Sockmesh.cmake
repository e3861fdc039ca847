# How a target of ours is made: sockmesh_library, sockmesh_program, sockmesh_test, sockmesh_fuzz, bpf_object.
include_guard()

# Warnings and sanitizers, for our own targets only: linked PRIVATE, so nothing leaks to whoever links us.
add_library(sockmesh_options INTERFACE)
target_compile_options(sockmesh_options INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wno-missing-field-initializers
  -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(sockmesh_options INTERFACE -Wthread-safety) # base/mutex.h
endif()
if(SOCKMESH_FUZZ)
  # All our code tells libFuzzer what it covers. With the harness alone every input would look like the others.
  target_compile_options(sockmesh_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(sockmesh_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(SOCKMESH_SANITIZE)
  target_compile_options(sockmesh_options INTERFACE -fsanitize=${SOCKMESH_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(sockmesh_options INTERFACE -fsanitize=${SOCKMESH_SANITIZE})
  if(SOCKMESH_SANITIZE MATCHES "thread") # g++ 12 sees strings overlap that do not: GCC bug 105651
    target_compile_options(sockmesh_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
  endif()
  if(SOCKMESH_SANITIZE MATCHES "unsigned-integer-overflow") # clang's own; differences of counters that wrap
    target_compile_options(sockmesh_options INTERFACE
      -fsanitize-ignorelist=${CMAKE_SOURCE_DIR}/cmake/unsigned-overflow.ignore)
  endif()
endif()

# A library sees only the headers of the libraries it links. Headers are named by their folder
# ("model/snapshot.h", "config/source/folder.h"), so each library gets an include root of its own that holds nothing but
# a link to its folder: a wrong include does not compile.
function(sockmesh_include_root target name dir)
  string(REPLACE / _ root ${name})
  set(root ${CMAKE_BINARY_DIR}/include/${root})
  set(link ${root}/${name})
  cmake_path(GET link PARENT_PATH parent)
  file(MAKE_DIRECTORY ${parent})
  if(NOT EXISTS ${link})
    file(CREATE_LINK ${dir} ${link} SYMBOLIC)
  endif()
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "INTERFACE_LIBRARY")
    target_include_directories(${target} INTERFACE ${root})
  else()
    target_include_directories(${target} PUBLIC ${root})
  endif()
endfunction()

# sockmesh_library(NAME SOURCES a.cc ... LINKS public... PRIVATE_LINKS private...)
# NAME is what its headers are included by. Target sockmesh_NAME, alias sockmesh::NAME; of a library inside of another
# folder, "config/source", sockmesh_config_source and sockmesh::config_source. Header-only when SOURCES is empty is not
# supported on purpose.
function(sockmesh_library path)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  string(REPLACE / _ name ${path})
  add_library(sockmesh_${name} STATIC ${ARG_SOURCES})
  add_library(sockmesh::${name} ALIAS sockmesh_${name})
  sockmesh_include_root(sockmesh_${name} ${path} ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(sockmesh_${name} PUBLIC ${ARG_LINKS} PRIVATE ${ARG_PRIVATE_LINKS} sockmesh_options)
endfunction()

# sockmesh_program(NAME SOURCES ... LINKS ...): an executable; all programs end in build/bin.
function(sockmesh_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} sockmesh_options)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# sockmesh_test(NAME LABEL unit|golden|kernel|netns [TIMEOUT s] [NOT_IN_GUEST case...] SOURCES ... LINKS ...)
# One Catch2 binary, one ctest entry a test case. Exit status 77 from main means "this machine can't": skipped.
# TIMEOUT is a case's; SOCKMESH_TEST_SLOW multiplies it. NOT_IN_GUEST names the cases that `tools/test --kernel` leaves
# out; the reason belongs beside each.
function(sockmesh_test name)
  cmake_parse_arguments(ARG "SERIAL" "LABEL;TIMEOUT" "NOT_IN_GUEST;SOURCES;LINKS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} Catch2::Catch2WithMain sockmesh_options)
  # -Wparentheses and friends: Catch2's assertion macros under clang.
  set(properties LABELS ${ARG_LABEL} SKIP_RETURN_CODE 77)
  if(ARG_SERIAL)
    list(APPEND properties RUN_SERIAL TRUE)
  endif()
  set(prefix "${ARG_LABEL}/${name}:")
  catch_discover_tests(${name} TEST_PREFIX "${prefix}" PROPERTIES ${properties})
  list(TRANSFORM ARG_NOT_IN_GUEST PREPEND "${prefix}")
  set(cases_file ${CMAKE_CURRENT_BINARY_DIR}/${name}_cases.cmake)
  file(WRITE ${cases_file}
    "if(${name}_TESTS)\n"
    "  set(cases \${${name}_TESTS})\n"
    "  set(timeout ${ARG_TIMEOUT})\n"
    "  set(labels ${ARG_LABEL})\n"
    "  set(not_in_guest [==[${ARG_NOT_IN_GUEST}]==])\n"
    "  include(\"${PROJECT_SOURCE_DIR}/cmake/CTestCases.cmake\")\n"
    "endif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${cases_file})
endfunction()

# sockmesh_fuzz(NAME SOURCES ... LINKS ...): a libFuzzer target, and in every build a test that runs its corpus
# (tests/fuzz/corpus/NAME) through the same function, so that a fixed crash stays fixed without clang.
function(sockmesh_fuzz name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  set(corpus ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
  add_executable(fuzz_corpus_${name} ${ARG_SOURCES} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus_main.cc)
  target_link_libraries(fuzz_corpus_${name} PRIVATE ${ARG_LINKS} sockmesh_options)
  add_test(NAME "fuzz-corpus/${name}" COMMAND fuzz_corpus_${name} ${corpus})
  set_tests_properties("fuzz-corpus/${name}" PROPERTIES LABELS unit TIMEOUT 120)
  if(SOCKMESH_FUZZ)
    add_executable(fuzz_${name} ${ARG_SOURCES})
    target_link_libraries(fuzz_${name} PRIVATE ${ARG_LINKS} sockmesh_options)
    target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  endif()
endfunction()

# bpf_object(NAME): NAME.bpf.c -> NAME.bpf.o -> NAME.skel.h, as INTERFACE target NAME_skel.
# Header dependencies come from clang's depfile, so that editing bpf/intf rebuilds objects, skeletons and tests.
find_program(BPF_CLANG NAMES clang clang-14 REQUIRED)
find_program(BPF_STRIP NAMES llvm-strip llvm-strip-14 REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)
function(bpf_object name)
  set(source ${CMAKE_CURRENT_SOURCE_DIR}/${name}.bpf.c)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  set(skeleton_dir ${CMAKE_CURRENT_BINARY_DIR}/skeletons)
  set(skeleton ${skeleton_dir}/${name}.skel.h)
  file(MAKE_DIRECTORY ${skeleton_dir})
  # -g is not for debugging: BTF, and so CO-RE and typed maps, are made from it. DWARF is stripped afterwards.
  add_custom_command(OUTPUT ${object}
    COMMAND ${BPF_CLANG} -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter
            -D__TARGET_ARCH_x86 -I${CMAKE_CURRENT_SOURCE_DIR} -I${CMAKE_SOURCE_DIR}/bpf
            -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
            -MD -MF ${object}.d -MT ${object} -c ${source} -o ${object}
    COMMAND ${BPF_STRIP} -g ${object}
    DEPENDS ${source} DEPFILE ${object}.d VERBATIM COMMENT "BPF ${name}")
  add_custom_command(OUTPUT ${skeleton}
    COMMAND ${BPFTOOL} gen skeleton ${object} name ${name}_bpf > ${skeleton}
    DEPENDS ${object} VERBATIM COMMENT "BPF skeleton ${name}")
  add_custom_target(${name}_skel_file DEPENDS ${skeleton})
  add_library(${name}_skel INTERFACE)
  add_dependencies(${name}_skel ${name}_skel_file)
  target_include_directories(${name}_skel SYSTEM INTERFACE ${skeleton_dir})
endfunction()
