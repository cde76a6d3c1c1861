# Writes the commit that is being built to a header, only when it has changed: run at every build.
# cmake -D SOURCE=<tree> -D VERSION=<of the project> -D OUT=<header> -P commit.cmake
find_program(GIT git)
set(commit "unknown")
if(GIT)
    execute_process(COMMAND "${GIT}" describe --always --dirty --abbrev=12 --exclude=*
        WORKING_DIRECTORY "${SOURCE}" OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE
        ERROR_QUIET RESULT_VARIABLE status)
    if(status EQUAL 0)
        set(commit "${found}")
    endif()
endif()
set(text "// The version and the commit that this was built from.\n#pragma once\n\nnamespace turnpike {\n\ninline constexpr char kVersion[] = \"${VERSION}\";\ninline constexpr char kCommit[] = \"${commit}\";\n\n}  // namespace turnpike\n")
set(old "")
if(EXISTS "${OUT}")
    file(READ "${OUT}" old)
endif()
if(NOT old STREQUAL text)
    file(WRITE "${OUT}" "${text}")
endif()
