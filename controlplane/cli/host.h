// What `turnpike doctor` asks of the host that it runs on.
#pragma once

#include <cstdint>
#include <string>

#include "config/base/result.h"

namespace turnpike::controlplane::cli {

struct Space {
    std::int64_t free_bytes = 0;  // for this user
    std::int64_t total_bytes = 0;
};

// Of the file system that `path` is on.
Result<Space> read_space(const std::string& path);

struct ClockStatus {
    bool is_synchronised = false;
    std::int64_t max_error_us = 0;  // as the kernel estimates it
};

Result<ClockStatus> read_clock_status();

struct OpenFileLimits {
    std::int64_t soft = 0;
    std::int64_t hard = 0;
};

// Of this process, which what is started from the same shell inherits.
Result<OpenFileLimits> read_open_file_limits();

// Whether this user may, by access(2).
bool may_execute(const std::string& path);
bool may_write_folder(const std::string& path);

}  // namespace turnpike::controlplane::cli
