// Running a program to its end and reading what it writes. Linux, see posix_spawn(3).
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "config/base/result.h"

namespace turnpike {

// Of each stream; a queue of tens of thousands of jobs is less.
inline constexpr std::size_t kMaxProgramOutputBytes = 16UL << 20;

struct ProgramRun {
    int status = 0;   // of its exit; 128 + the signal that ended it
    std::string out;  // what it wrote
    std::string error;
    bool is_cut = false;  // there was more than the bound of one of them
};

// Without input and without descriptors of ours. A name without '/' is looked for in PATH. Errors:
// kNotFound when there is no such program, kIo when it cannot be started, kTimeout when it was
// killed because it took too long. Any thread; blocks for at most `timeout`, in milliseconds.
Result<ProgramRun> run_program(const std::vector<std::string>& command,
                               std::chrono::milliseconds timeout);

}  // namespace turnpike
