// The data directory: which files of it are databases, and the lock of whoever writes them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/base/result.h"
#include "config/base/unique_handle.h"

namespace turnpike::controlplane {

inline constexpr std::string_view kControlFile = "control.db";

std::string control_path(const std::string& data_dir);
// "2026-11": usage-2026-11.db.
std::string month_path(const std::string& data_dir, const std::string& month);
// "2026-11" of "usage-2026-11.db"; empty when it is no usage file.
std::optional<std::string> month_of_file(const std::string& name);

// Makes the directory when there is none. kConflict while another process has the lock, which goes
// with the descriptor.
Result<UniqueFd> lock_data_dir(const std::string& data_dir);

}  // namespace turnpike::controlplane
