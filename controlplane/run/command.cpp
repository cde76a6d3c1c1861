#include "controlplane/run/command.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "config/base/clock.h"
#include "config/base/unique_handle.h"

extern char** environ;  // POSIX declares it nowhere

namespace turnpike::controlplane {
namespace {

constexpr std::size_t kMaxOutputBytes = 16UL << 20;  // of a squeue of a very large cluster

struct Pipe {
    UniqueFd read;
    UniqueFd write;
};

Result<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("cannot make a pipe");
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Returns the error number, 0 for none.
int spawn(const std::vector<std::string>& arguments, int out, int err, pid_t& pid) {
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_adddup2(&files, err, 2);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    std::vector<std::string> texts = arguments;
    std::vector<char*> argv;
    for (std::string& text : texts) argv.push_back(text.data());
    argv.push_back(nullptr);
    const int failed = ::posix_spawnp(&pid, argv[0], &files, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    return failed;
}

// Reads what is there; false at the end of the stream.
bool read_some(const UniqueFd& from, std::string& into) {
    std::array<char, 65536> buffer{};
    const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
    if (got < 0) return errno == EINTR || errno == EAGAIN;
    if (into.size() < kMaxOutputBytes) into.append(buffer.data(), static_cast<std::size_t>(got));
    return got > 0;
}

// Until both streams have ended; false when the time is over first.
bool read_all(const UniqueFd& out, const UniqueFd& err, SteadyTime deadline, CommandOutput& read) {
    const SystemClock clock;
    std::array<pollfd, 2> polled{pollfd{out.get(), POLLIN, 0}, pollfd{err.get(), POLLIN, 0}};
    while (polled[0].fd >= 0 || polled[1].fd >= 0) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock.steady_now());
        if (left.count() <= 0) return false;
        if (::poll(polled.data(), polled.size(), static_cast<int>(left.count())) < 0) continue;
        if (polled[0].revents != 0 && !read_some(out, read.out)) polled[0].fd = -1;
        if (polled[1].revents != 0 && !read_some(err, read.err)) polled[1].fd = -1;
    }
    return true;
}

std::string last_line(std::string text) {
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text.substr(text.rfind('\n') + 1);
}

int wait_for(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

}  // namespace

Result<CommandOutput> run_command(const std::vector<std::string>& arguments,
                                  std::chrono::milliseconds timeout) {
    const std::string& program = arguments.at(0);
    auto out = make_pipe();
    RETURN_IF_ERROR(out);
    auto err = make_pipe();
    RETURN_IF_ERROR(err);
    const SystemClock clock;
    const SteadyTime deadline = clock.steady_now() + timeout;
    pid_t pid = 0;
    errno = spawn(arguments, out->write.get(), err->write.get(), pid);
    if (errno != 0) return errno_error("cannot start " + program);
    out->write.reset();
    err->write.reset();
    CommandOutput output;
    const bool is_in_time = read_all(out->read, err->read, deadline, output);
    if (!is_in_time) ::kill(pid, SIGKILL);
    const int status = wait_for(pid);
    if (!is_in_time)
        return Error{ErrorCode::kTimeout,
                     program + " did not end within " + std::to_string(timeout.count()) + " ms",
                     {}};
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return output;
    const std::string how = WIFEXITED(status) ? "exit status " + std::to_string(WEXITSTATUS(status))
                                              : "signal " + std::to_string(WTERMSIG(status));
    return Error{ErrorCode::kIo, program + ": " + how + ": " + last_line(output.err), {}};
}

}  // namespace turnpike::controlplane
