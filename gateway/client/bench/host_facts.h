// What a report says of the machine that made it, and of what this process used.
#pragma once

#include <cstdint>
#include <string>

namespace turnpike::gateway::client::bench {

// "AMD EPYC 9454 48-Core Processor", or the architecture when the system tells no more.
std::string cpu_name();
std::int64_t cpu_count();

// Of this process, all threads, user and system.
double cpu_seconds();

// Lets this process open as many files as the system allows it; returns how many.
std::size_t raise_file_limit();

}  // namespace turnpike::gateway::client::bench
