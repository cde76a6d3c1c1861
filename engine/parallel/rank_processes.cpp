// See rank_processes.h.
#include "engine/parallel/rank_processes.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "config/base/unique_handle.h"

namespace turnpike::engine {
namespace {

// After the last step they only free memory.
constexpr int kEndLimitMs = 5'000;

Result<pid_t> spawn(const std::vector<std::string>& command, int memory_fd) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    // Also clears the flag that would close it, where the numbers are the same.
    posix_spawn_file_actions_adddup2(&actions, memory_fd, kRankMemoryFd);
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (const std::string& argument : command)
        arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    pid_t pid = 0;
    const int problem =
        ::posix_spawn(&pid, command.front().c_str(), &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (problem == 0) return pid;
    errno = problem;
    return errno_error("starting " + command.front() + " as a rank");
}

void wait_or_kill(pid_t pid) {
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    pollfd end{process.get(), POLLIN, 0};
    if (!process.is_open() || ::poll(&end, 1, kEndLimitMs) != 1) ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
}

}  // namespace

Result<std::unique_ptr<RankProcesses>> RankProcesses::start(const std::vector<std::string>& command,
                                                            int num_ranks,
                                                            int memory_fd) {
    std::unique_ptr<RankProcesses> started(new RankProcesses());
    for (int rank = 1; rank < num_ranks; ++rank) {
        std::vector<std::string> own = command;
        own.push_back(std::to_string(rank));
        const auto pid = spawn(own, memory_fd);
        if (!pid) return pid.error();
        started->pids_.push_back(*pid);
    }
    return started;
}

RankProcesses::~RankProcesses() {
    for (const pid_t pid : pids_) wait_or_kill(pid);
}

Status RankProcesses::check() const {
    for (std::size_t i = 0; i < pids_.size(); ++i) {
        siginfo_t info{};
        // Left to be waited for again by the destructor.
        const int result =
            ::waitid(P_PID, static_cast<id_t>(pids_[i]), &info, WEXITED | WNOHANG | WNOWAIT);
        if (result == 0 && info.si_pid == 0) continue;
        return Error{ErrorCode::kUnavailable,
                     "rank " + std::to_string(i + 1) + " (process " + std::to_string(pids_[i]) +
                         ") ended before it joined; its own line says why",
                     {}};
    }
    return {};
}

}  // namespace turnpike::engine
