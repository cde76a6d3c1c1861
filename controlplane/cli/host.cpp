#include "controlplane/cli/host.h"

#include <sys/resource.h>
#include <sys/timex.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <system_error>

namespace turnpike::controlplane::cli {
namespace {

std::int64_t bounded(rlim_t limit) {
    constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
    return limit > static_cast<rlim_t>(kMost) ? kMost : static_cast<std::int64_t>(limit);
}

}  // namespace

Result<Space> read_space(const std::string& path) {
    std::error_code failed;
    const auto space = std::filesystem::space(path, failed);
    if (failed) return Error{ErrorCode::kIo, path + ": " + failed.message(), {}};
    return Space{static_cast<std::int64_t>(space.available),
                 static_cast<std::int64_t>(space.capacity)};
}

Result<ClockStatus> read_clock_status() {
    timex state{};  // modes = 0: nothing is changed
    if (::adjtimex(&state) < 0) return errno_error("cannot read the clock's state");
    return ClockStatus{(state.status & STA_UNSYNC) == 0, state.maxerror};
}

Result<OpenFileLimits> read_open_file_limits() {
    rlimit limits{};
    if (::getrlimit(RLIMIT_NOFILE, &limits) != 0) return errno_error("cannot read the limit");
    return OpenFileLimits{bounded(limits.rlim_cur), bounded(limits.rlim_max)};
}

bool may_execute(const std::string& path) {
    return ::access(path.c_str(), X_OK) == 0;
}

bool may_write_folder(const std::string& path) {
    std::error_code failed;
    return std::filesystem::is_directory(path, failed) && ::access(path.c_str(), W_OK | X_OK) == 0;
}

}  // namespace turnpike::controlplane::cli
