// Reading to the end. An istreambuf_iterator throws where a read fails (a directory, a process that
// has ended); these return what went wrong.
#pragma once

#include <istream>
#include <optional>
#include <string>

#include "config/base/result.h"

namespace turnpike {

// Nothing when a read fails.
std::optional<std::string> read_to_end(std::istream& in);

// The bytes of a file. Errors: errno_error("cannot read <what> <path>").
Result<std::string> read_file(const std::string& what, const std::string& path);

}  // namespace turnpike
