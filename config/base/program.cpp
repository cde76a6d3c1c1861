#include "config/base/program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "config/base/clock.h"
#include "config/base/unique_handle.h"

extern char** environ;  // POSIX declares it nowhere

namespace turnpike {
namespace {

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
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    // Services block the signals that end them, for sigwait(); a child is to hear them.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    pid_t pid = -1;
    const int failure =
        ::posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(), environ);
    posix_spawnattr_destroy(&attributes);
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
bool read_some(const UniqueFd& from, std::string& to, ProgramRun& run) {
    std::array<char, 65536> piece;
    const ssize_t count = ::read(from.get(), piece.data(), piece.size());
    if (count < 0) return errno == EINTR;
    const std::size_t room = kMaxProgramOutputBytes - to.size();
    run.is_cut = run.is_cut || static_cast<std::size_t>(count) > room;
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
        if (waits[0].revents != 0 && !read_some(out.reader, run.out, run)) out.reader.reset();
        if (waits[1].revents != 0 && !read_some(error.reader, run.error, run)) error.reader.reset();
    }
    return true;
}

int wait_for(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
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

}  // namespace turnpike
