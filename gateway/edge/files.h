// Small files that must be whole after a crash.
#pragma once

#include <string>
#include <string_view>

#include "config/base/result.h"

namespace turnpike::gateway {

// Creates or replaces a small file so that a crash leaves the old or the new content. Two processes
// that may do it at the same time have different names as `writer`.
Status replace_file(const std::string& path,
                    std::string_view content,
                    std::string_view writer = {});
// The same for a crash of this process only: a loss of power may leave neither.
Status replace_file_unflushed(const std::string& path, std::string_view content);
// The whole file. kNotFound when there is none.
Result<std::string> read_file(const std::string& path);
Status sync_directory(const std::string& dir);

}  // namespace turnpike::gateway
