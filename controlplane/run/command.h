// Running a program of the system's to its end and reading what it says: sbatch, systemctl.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "config/base/result.h"

namespace turnpike::controlplane {

struct CommandOutput {
    std::string out;
    std::string err;
};

// The first argument is the program, found as a shell would find it. Errors: kIo when it cannot be
// started or ends with another status than 0 (with the last line that it wrote to stderr), kTimeout
// when it does not end in time; it is killed then. Blocks for as long.
Result<CommandOutput> run_command(const std::vector<std::string>& arguments,
                                  std::chrono::milliseconds timeout);

}  // namespace turnpike::controlplane
