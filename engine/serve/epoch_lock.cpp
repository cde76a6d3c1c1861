#include "engine/serve/epoch_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <array>
#include <charconv>
#include <utility>

namespace turnpike::engine {

Result<EpochLock> EpochLock::acquire(const std::string& path, Epoch epoch) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd.is_open()) return errno_error("cannot open the lock file " + path);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        return Error{ErrorCode::kConflict, "another engine holds the lock file " + path, {}};
    }
    std::array<char, 32> text{};
    const ssize_t length = ::pread(fd.get(), text.data(), text.size(), 0);
    if (length < 0) return errno_error("cannot read the lock file " + path);
    std::int64_t highest = 0;
    if (length > 0) {
        const auto [end, problem] = std::from_chars(text.data(), text.data() + length, highest);
        if (problem != std::errc() || end == text.data()) {
            return Error{ErrorCode::kCorrupt, "the lock file " + path + " holds no epoch", {}};
        }
    }
    if (highest > epoch.value()) {
        return Error{ErrorCode::kConflict,
                     "epoch " + std::to_string(epoch.value()) + " was given up: epoch " +
                         std::to_string(highest) + " has run with the lock file " + path,
                     {}};
    }
    const std::string line = std::to_string(epoch.value()) + "\n";
    const bool is_written =
        ::pwrite(fd.get(), line.data(), line.size(), 0) == static_cast<ssize_t>(line.size()) &&
        ::ftruncate(fd.get(), static_cast<off_t>(line.size())) == 0 && ::fsync(fd.get()) == 0;
    if (!is_written) return errno_error("cannot write the lock file " + path);
    return EpochLock(std::move(fd));
}

}  // namespace turnpike::engine
