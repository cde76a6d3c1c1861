#include "controlplane/cli/supervisor.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/base/clock.h"
#include "config/base/unique_handle.h"
#include "controlplane/cli/admin_client.h"
#include "controlplane/cli/exit_code.h"

namespace turnpike::controlplane::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kMinBackoff{200};
constexpr milliseconds kMaxBackoff{5000};
constexpr milliseconds kStableAfter{1000};  // it died in service, not at its start: again at once
constexpr milliseconds kStopLimit{40'000};  // above the gateway's drain of 30 s

struct Child {
    std::string name;
    std::vector<std::string> command;
    std::string log_file;
    pid_t pid = -1;
    SteadyTime started_at{};
    SteadyTime start_at{};  // not before
    milliseconds backoff = kMinBackoff;
};

std::string describe_exit(int status) {
    if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
    return "status " + std::to_string(WEXITSTATUS(status));
}

class Supervisor {
  public:
    Supervisor(std::string state_dir, const std::string& binary_dir) : dir_(std::move(state_dir)) {
        children_.push_back({"controlplane",
                             {binary_dir + "/turnpike-controlplane", "serve", "--config",
                              dir_ + "/controlplane.json"},
                             dir_ + "/logs/controlplane.log"});
        children_.push_back({"gateway",
                             {binary_dir + "/turnpike-gateway", "--config", dir_ + "/gateway.json"},
                             dir_ + "/logs/gateway.log"});
    }

    int run() {
        if (const Status status = lock(); !status) return report(status.error());
        sigemptyset(&signals_);
        for (const int signal : {SIGINT, SIGTERM, SIGCHLD}) sigaddset(&signals_, signal);
        sigprocmask(SIG_BLOCK, &signals_, nullptr);
        std::printf("turnpike up: %s; logs in %s/logs\n", dir_.c_str(), dir_.c_str());
        std::fflush(stdout);
        while (!is_stopping_) {
            for (Child& child : children_) {
                if (child.pid < 0 && clock_.steady_now() >= child.start_at) start(child);
            }
            wait_for_signal(kMinBackoff);
            reap();
        }
        stop_everything();
        return kOk;
    }

  private:
    Status lock() {
        const std::string path = dir_ + "/run/up.pid";
        lock_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (!lock_.is_open())
            return errno_error("cannot open " + path + "; is " + dir_ + " a state directory?");
        if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
            return Error{ErrorCode::kConflict,
                         "another `turnpike up` runs on " + dir_ + ": stop it first",
                         {}};
        }
        const std::string pid = std::to_string(::getpid()) + "\n";
        const bool is_written =
            ::ftruncate(lock_.get(), 0) == 0 &&
            ::pwrite(lock_.get(), pid.data(), pid.size(), 0) == static_cast<ssize_t>(pid.size());
        return is_written ? Status() : Status(errno_error("cannot write " + path));
    }

    void start(Child& child) {
        std::vector<char*> arguments;
        for (std::string& word : child.command) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        const UniqueFd log(
            ::open(child.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
        const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        child.started_at = clock_.steady_now();
        child.pid = ::fork();
        if (child.pid == 0) {
            sigset_t none;
            sigemptyset(&none);
            sigprocmask(SIG_SETMASK, &none, nullptr);
            ::setpgid(0, 0);  // Ctrl-C reaches the supervisor alone, which stops the rest in order
            ::dup2(null.get(), STDIN_FILENO);
            if (log.is_open()) {
                ::dup2(log.get(), STDOUT_FILENO);
                ::dup2(log.get(), STDERR_FILENO);
            }
            ::execv(arguments[0], arguments.data());
            ::_exit(127);
        }
        if (child.pid < 0) postpone(child, "cannot fork");
    }

    void postpone(Child& child, const std::string& why) {
        const SteadyTime now = clock_.steady_now();
        if (now - child.started_at >= kStableAfter) child.backoff = kMinBackoff;
        child.start_at = now + child.backoff;
        std::printf("%s ended (%s); starting again in %lld ms, see %s\n", child.name.c_str(),
                    why.c_str(), static_cast<long long>(child.backoff.count()),
                    child.log_file.c_str());
        std::fflush(stdout);
        child.backoff = std::min(child.backoff * 2, kMaxBackoff);
    }

    void reap() {
        int status = 0;
        for (pid_t pid = ::waitpid(-1, &status, WNOHANG); pid > 0;
             pid = ::waitpid(-1, &status, WNOHANG)) {
            for (Child& child : children_) {
                if (child.pid != pid) continue;
                child.pid = -1;
                if (!is_stopping_) postpone(child, describe_exit(status));
            }
        }
    }

    void wait_for_signal(milliseconds timeout) {
        const timespec limit{timeout.count() / 1000, (timeout.count() % 1000) * 1'000'000};
        const int signal = sigtimedwait(&signals_, nullptr, &limit);
        if (signal == SIGINT || signal == SIGTERM) is_stopping_ = true;
    }

    void stop(Child& child) {
        if (child.pid < 0) return;
        ::kill(child.pid, SIGTERM);
        const SteadyTime deadline = clock_.steady_now() + kStopLimit;
        while (child.pid > 0) {
            if (clock_.steady_now() >= deadline) ::kill(child.pid, SIGKILL);
            wait_for_signal(milliseconds(50));
            reap();
        }
    }

    // No request loses its answer: first the door, then the engines, then their keeper.
    void stop_everything() {
        std::printf("stopping\n");
        std::fflush(stdout);
        stop(children_[1]);
        if (children_[0].pid > 0) {
            AdminClient admin(net::NetAddress{dir_ + "/run/admin.sock", "", 0});
            const auto parked = admin.call("POST", "/admin/v1/park", nlohmann::json::object());
            if (!parked) std::printf("engines may still run: %s\n", parked.error().message.c_str());
        }
        stop(children_[0]);
    }

    std::string dir_;
    SystemClock clock_;
    UniqueFd lock_;
    sigset_t signals_{};
    std::vector<Child> children_;
    bool is_stopping_ = false;
};

}  // namespace

int run_supervisor(const std::string& state_dir, const std::string& binary_dir) {
    return Supervisor(state_dir, binary_dir).run();
}

}  // namespace turnpike::controlplane::cli
