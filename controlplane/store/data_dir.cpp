#include "controlplane/store/data_dir.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>

#include <filesystem>

namespace turnpike::controlplane {
namespace {

// A second in all: a child that a killed control plane was just starting has its files, and so its
// lock, until it executes its own program.
constexpr int kLockAttempts = 50;
constexpr int kLockPauseMs = 20;

}  // namespace

std::string control_path(const std::string& data_dir) {
    return data_dir + "/" + std::string(kControlFile);
}

std::string month_path(const std::string& data_dir, const std::string& month) {
    return data_dir + "/usage-" + month + ".db";
}

std::optional<std::string> month_of_file(const std::string& name) {
    // usage-YYYY-MM.db
    if (name.size() != 16 || name.substr(0, 6) != "usage-" || name.substr(13) != ".db") return {};
    return name.substr(6, 7);
}

Result<UniqueFd> lock_data_dir(const std::string& data_dir) {
    std::error_code error;
    std::filesystem::create_directories(data_dir, error);
    if (error) return Error{ErrorCode::kIo, data_dir + ": " + error.message(), {}};
    const std::string path = data_dir + "/lock";
    UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file.is_open()) return errno_error("cannot open " + path);
    for (int i = 0; i < kLockAttempts; ++i) {
        if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
        ::poll(nullptr, 0, kLockPauseMs);
    }
    return Error{ErrorCode::kConflict, data_dir + " is in use by another process", {}};
}

}  // namespace turnpike::controlplane
