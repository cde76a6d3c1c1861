// Starting a program that outlives us, and files that are whole or absent.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "config/base/result.h"

namespace turnpike::controlplane {

struct SpawnOptions {
    std::vector<std::string> arguments;  // the first is the program's path
    std::string log_file;                // stdout and stderr, appended
};

// A child in a session of its own, in "/", with no descriptor of ours, default signals and an empty
// stdin. Returns once the program runs; kIo when it cannot.
Result<pid_t> spawn_detached(const SpawnOptions& options);

// By a temporary file and rename.
Status write_whole_file(const std::string& path, const std::string& text);
// kIo; kNotFound when there is no such file.
Result<std::string> read_whole_file(const std::string& path);
// The last lines of a file, at most `max_bytes` of them, joined by " | "; empty when unreadable.
std::string last_lines(const std::string& path, std::size_t max_bytes);

}  // namespace turnpike::controlplane
