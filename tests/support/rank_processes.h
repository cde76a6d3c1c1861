// Forked processes as ranks: each runs a function and says by its exit code whether it held.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <vector>

namespace turnpike::test {

// The process must have no other thread when it forks.
class ForkedRanks {
  public:
    ForkedRanks(int first, int end, const std::function<bool(int)>& body) {
        for (int rank = first; rank < end; ++rank) {
            const pid_t pid = ::fork();
            if (pid == 0) ::_exit(body(rank) ? 0 : 1);
            EXPECT_GT(pid, 0);
            pids_.push_back(pid);
        }
    }

    ~ForkedRanks() {
        for (const pid_t pid : pids_) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, nullptr, 0);
        }
    }

    ForkedRanks(const ForkedRanks&) = delete;

    void kill(std::size_t index) { ::kill(pids_[index], SIGKILL); }

    // Whether all have ended with true.
    bool all_held() {
        bool held = true;
        for (const pid_t pid : pids_) {
            int status = 0;
            ::waitpid(pid, &status, 0);
            held = held && WIFEXITED(status) && WEXITSTATUS(status) == 0;
        }
        pids_.clear();
        return held;
    }

  private:
    std::vector<pid_t> pids_;
};

}  // namespace turnpike::test
