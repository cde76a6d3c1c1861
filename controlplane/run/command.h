// Programs of the system's that drivers ask: sbatch, systemctl.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "config/base/program.h"

namespace turnpike::controlplane {

// What it wrote to its standard output, whole. Errors: those of run_program(); kIo when it ends
// with another status than 0, with the last line that it wrote to stderr; kTooLarge when it wrote
// more than kMaxProgramOutputBytes.
Result<std::string> run_command(const std::vector<std::string>& arguments,
                                std::chrono::milliseconds timeout);

}  // namespace turnpike::controlplane
