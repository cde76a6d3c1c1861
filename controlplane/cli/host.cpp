#include "controlplane/cli/host.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <limits>
#include <system_error>

#include "config/base/clock.h"
#include "config/base/unique_handle.h"

extern char** environ;  // POSIX declares it nowhere

namespace turnpike::controlplane::cli {
namespace {

constexpr std::size_t kMaxOutputBytes = 1 << 20;

struct Pipe {
    UniqueFd reader;
    UniqueFd writer;
};

Result<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("cannot make a pipe");
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// The program, with its standard output and error on the pipes; their writing ends are closed here.
Result<pid_t> spawn(const std::vector<std::string>& command, Pipe& out, Pipe& error) {
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out.writer.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, error.writer.get(), STDERR_FILENO);
    pid_t pid = -1;
    const int failure =
        ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    out.writer.reset();
    error.writer.reset();
    if (failure == 0) return pid;
    errno = failure;
    Error problem = errno_error("cannot run " + command[0]);
    if (failure == ENOENT) problem.code = ErrorCode::kNotFound;
    return problem;
}

// What is there now; false at the end. Beyond the bound it is read and dropped.
bool read_some(const UniqueFd& from, std::string& to) {
    std::array<char, 4096> piece;
    const ssize_t count = ::read(from.get(), piece.data(), piece.size());
    if (count < 0) return errno == EINTR;
    const std::size_t room = kMaxOutputBytes - to.size();
    to.append(piece.data(), std::min(static_cast<std::size_t>(count), room));
    return count > 0;
}

// False when the time was up first.
bool read_both(Pipe& out, Pipe& error, ProgramRun& run, std::chrono::milliseconds timeout) {
    const SystemClock clock;
    const SteadyTime deadline = clock.steady_now() + timeout;
    while (out.reader.is_open() || error.reader.is_open()) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - clock.steady_now());
        if (left.count() <= 0) return false;
        // poll() leaves out what is closed: its descriptor is -1.
        std::array<pollfd, 2> waits{pollfd{out.reader.get(), POLLIN, 0},
                                    pollfd{error.reader.get(), POLLIN, 0}};
        if (::poll(waits.data(), waits.size(), static_cast<int>(left.count())) <= 0) continue;
        if (waits[0].revents != 0 && !read_some(out.reader, run.out)) out.reader.reset();
        if (waits[1].revents != 0 && !read_some(error.reader, run.error)) error.reader.reset();
    }
    return true;
}

int wait_for(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::int64_t bounded(rlim_t limit) {
    constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
    return limit > static_cast<rlim_t>(kMost) ? kMost : static_cast<std::int64_t>(limit);
}

}  // namespace

Result<ProgramRun> run_program(const std::vector<std::string>& command,
                               std::chrono::milliseconds timeout) {
    auto out = make_pipe();
    RETURN_IF_ERROR(out);
    auto error = make_pipe();
    RETURN_IF_ERROR(error);
    const auto pid = spawn(command, *out, *error);
    RETURN_IF_ERROR(pid);
    ProgramRun run;
    const bool is_in_time = read_both(*out, *error, run, timeout);
    if (!is_in_time) ::kill(*pid, SIGKILL);
    run.status = wait_for(*pid);
    if (is_in_time) return run;
    return Error{ErrorCode::kTimeout,
                 command[0] + " took longer than " + std::to_string(timeout.count()) + " ms",
                 {}};
}

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
