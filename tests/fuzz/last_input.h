// LastInput: the input that a target is working on, kept where a dying process can still save it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace turnpike::fuzz {

// From now on a fatal signal, a sanitizer's report or std::terminate() saves the current input as
// <dir>/<target>-<seed> and prints how to repeat it. An input that takes kMaxInputSeconds of
// processor time counts as a failure too. Once per process.
void save_failures(const std::string& program,
                   const std::string& target,
                   const std::string& dir,
                   std::uint64_t seed);

// Runs the target on `input`.
void run_input(std::string_view input);

}  // namespace turnpike::fuzz
