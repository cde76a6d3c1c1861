# Shared build functions: turnpike_library, turnpike_executable, turnpike_test.
# A target is named after its folder (config/base -> config_base); includes start at the repository root.
include_guard(GLOBAL)
include(GNUInstallDirs)
include(GoogleTest)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()

set(TURNPIKE_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize=, for example address,undefined")

add_library(turnpike_flags INTERFACE)
set(turnpike_warnings
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Werror
    # g++ 12 reports false overlaps when it inlines std::string's operator+ (GCC bug 105651).
    -Wno-restrict
    # clang does not know every warning that g++ is told to leave out.
    $<$<CXX_COMPILER_ID:Clang>:-Wno-unknown-warning-option>)
set(turnpike_cuda_warnings -Xcompiler=-Wall,-Wextra -Werror=all-warnings --expt-relaxed-constexpr)
target_compile_options(turnpike_flags INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:${turnpike_warnings}>"
    "$<$<COMPILE_LANGUAGE:CUDA>:${turnpike_cuda_warnings}>")
target_include_directories(turnpike_flags INTERFACE "${CMAKE_SOURCE_DIR}")
if(TURNPIKE_SANITIZE)
    add_compile_options(-fsanitize=${TURNPIKE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${TURNPIKE_SANITIZE})
    if(TURNPIKE_SANITIZE MATCHES "thread")
        # g++ 12 warns about Asio's fences under the thread sanitizer.
        add_compile_options(-Wno-tsan)
    else()
        # g++ 12 reports false positives in libstdc++ when the address sanitizer is on.
        add_compile_options(-Wno-maybe-uninitialized)
    endif()
endif()

# turnpike_library(NAME n SOURCES... HEADERS... DEPS... PRIVATE_DEPS...)
# A library without SOURCES is an INTERFACE library.
function(turnpike_library)
    cmake_parse_arguments(ARG "" "NAME" "SOURCES;HEADERS;DEPS;PRIVATE_DEPS" ${ARGN})
    if(ARG_SOURCES)
        add_library(${ARG_NAME} STATIC ${ARG_SOURCES})
        set(scope PUBLIC)
        target_link_libraries(${ARG_NAME} PUBLIC turnpike_flags ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
    else()
        add_library(${ARG_NAME} INTERFACE)
        set(scope INTERFACE)
        target_link_libraries(${ARG_NAME} INTERFACE turnpike_flags ${ARG_DEPS})
    endif()
    if(ARG_HEADERS)
        target_sources(${ARG_NAME} ${scope} FILE_SET HEADERS
            BASE_DIRS "${CMAKE_SOURCE_DIR}" FILES ${ARG_HEADERS})
    endif()
    set_target_properties(${ARG_NAME} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
endfunction()

# turnpike_executable(NAME n SOURCES... DEPS...)
function(turnpike_executable)
    cmake_parse_arguments(ARG "" "NAME" "SOURCES;DEPS" ${ARGN})
    add_executable(${ARG_NAME} ${ARG_SOURCES})
    target_link_libraries(${ARG_NAME} PRIVATE turnpike_flags ${ARG_DEPS})
    install(TARGETS ${ARG_NAME} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# turnpike_commit_header(target): it can include "<its folder>/commit.h", which holds kVersion and kCommit.
function(turnpike_commit_header target)
    file(RELATIVE_PATH folder "${CMAKE_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
    set(root "${CMAKE_CURRENT_BINARY_DIR}/${target}_commit")
    add_custom_target(${target}_commit
        BYPRODUCTS "${root}/${folder}/commit.h"
        COMMAND ${CMAKE_COMMAND} -D SOURCE=${CMAKE_SOURCE_DIR} -D VERSION=${PROJECT_VERSION} -D OUT=${root}/${folder}/commit.h
            -P ${CMAKE_SOURCE_DIR}/ops/cmake/commit.cmake)
    add_dependencies(${target} ${target}_commit)
    # What has to be there before a source is compiled, or looked at by clang-tidy.
    if(NOT TARGET generated_headers)
        add_custom_target(generated_headers)
    endif()
    add_dependencies(generated_headers ${target}_commit)
    target_include_directories(${target} PRIVATE "${root}")
endfunction()

# turnpike_test(NAME n LABEL l SOURCES... DEPS... [WHOLE]): a GoogleTest binary, each case a ctest test; WHOLE: the
# binary is one ctest test, for cases that print a summary together.
function(turnpike_test)
    cmake_parse_arguments(ARG "WHOLE" "NAME;LABEL" "SOURCES;DEPS" ${ARGN})
    add_executable(${ARG_NAME} ${ARG_SOURCES})
    target_link_libraries(${ARG_NAME} PRIVATE turnpike_flags ${ARG_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
    target_compile_definitions(${ARG_NAME} PRIVATE
        TURNPIKE_SOURCE_DIR="${CMAKE_SOURCE_DIR}" TURNPIKE_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
    set_target_properties(${ARG_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
    if(ARG_WHOLE)
        add_test(NAME ${ARG_NAME} COMMAND ${ARG_NAME} --gtest_brief=1)
        set_tests_properties(${ARG_NAME} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT 900)
        return()
    endif()
    gtest_discover_tests(${ARG_NAME}
        TEST_PREFIX "${ARG_NAME}." DISCOVERY_MODE PRE_TEST PROPERTIES LABELS ${ARG_LABEL} TIMEOUT 300)
endfunction()

# turnpike_script_test(NAME n LABEL l COMMAND... [TIMEOUT s]): a script that drives the real binaries.
function(turnpike_script_test)
    cmake_parse_arguments(ARG "" "NAME;LABEL;TIMEOUT" "COMMAND" ${ARGN})
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 300)
    endif()
    add_test(NAME ${ARG_NAME} COMMAND ${ARG_COMMAND})
    set_tests_properties(${ARG_NAME} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT}
        ENVIRONMENT "TURNPIKE_SOURCE_DIR=${CMAKE_SOURCE_DIR};TURNPIKE_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
endfunction()

# turnpike_add_parts(sub...): adds each sub-folder that lists targets of its own.
function(turnpike_add_parts)
    foreach(part ${ARGN})
        if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${part}/CMakeLists.txt")
            add_subdirectory(${part})
        endif()
    endforeach()
endfunction()
