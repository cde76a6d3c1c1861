#include "controlplane/cli/supervisor.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/base/clock.h"
#include "config/base/unique_handle.h"
#include "config/net/ready_notice.h"
#include "controlplane/cli/admin_client.h"
#include "controlplane/cli/exit_code.h"

namespace turnpike::controlplane::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kMinBackoff{200};
constexpr milliseconds kMaxBackoff{5000};
constexpr milliseconds kStableAfter{1000};  // it died in service, not at its start: again at once
constexpr milliseconds kStopLimit{40'000};  // above the gateway's drain of 30 s
// Above what either process waits for in a handover.
constexpr milliseconds kUpgradeLimit{150'000};
constexpr milliseconds kOutcomeLimit{2 * kUpgradeLimit};
constexpr std::size_t kControlplane = 0;
constexpr std::size_t kGateway = 1;

struct Child {
    std::string name;
    std::vector<std::string> command;
    std::string log_file;
    pid_t pid = -1;
    pid_t next = -1;               // takes over from pid
    std::vector<pid_t> retired{};  // have handed over, and end what they have begun
    SteadyTime started_at{};
    SteadyTime start_at{};  // not before
    milliseconds backoff = kMinBackoff;
};

std::string describe_exit(int status) {
    if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
    return "status " + std::to_string(WEXITSTATUS(status));
}

std::string up_path(const std::string& dir) {
    return dir + "/run/up.pid";
}

// A line with a number that grows, and what came of that upgrade.
std::string outcome_path(const std::string& dir) {
    return dir + "/run/upgrade";
}

std::string read_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
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
        if (const Status status = listen(); !status) return report(status.error());
        sigemptyset(&signals_);
        for (const int signal : {SIGINT, SIGTERM, SIGCHLD, SIGHUP, SIGUSR1, SIGUSR2})
            sigaddset(&signals_, signal);
        sigprocmask(SIG_BLOCK, &signals_, nullptr);
        std::printf("turnpike up: %s; logs in %s/logs\n", dir_.c_str(), dir_.c_str());
        std::fflush(stdout);
        while (!is_stopping_) {
            for (Child& child : children_) {
                const bool is_missing = child.pid < 0 && child.next < 0;
                if (is_missing && clock_.steady_now() >= child.start_at) child.pid = start(child);
            }
            upgrade_next();
            wait_for_signal(is_upgrading_ ? milliseconds(20) : kMinBackoff);
            take_notices();
            reap();
        }
        stop_everything();
        return kOk;
    }

  private:
    Status lock() {
        const std::string path = up_path(dir_);
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

    Status listen() {
        const std::string path = dir_ + "/run/ready.sock";
        auto notices = net::ReadyNotices::listen(path);
        RETURN_IF_ERROR(notices);
        notices_.emplace(std::move(*notices));
        ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
        return {};
    }

    // The process; negative, and postponed, when there could be none.
    pid_t start(Child& child) {
        std::vector<char*> arguments;
        for (std::string& word : child.command) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        const UniqueFd log(
            ::open(child.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
        const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        child.started_at = clock_.steady_now();
        const pid_t pid = ::fork();
        if (pid == 0) {
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
        if (pid < 0) postpone(child, "cannot fork");
        return pid;
    }

    void say(const std::string& line) {
        std::printf("%s\n", line.c_str());
        std::fflush(stdout);
    }

    void ask_upgrade(std::initializer_list<std::size_t> children) {
        for (const std::size_t each : children) to_upgrade_.push_back(each);
    }

    // The control plane goes first: see ops/docs/formats/versions.md.
    void upgrade_next() {
        if (is_upgrading_ && clock_.steady_now() >= upgrade_deadline_) {
            // Its end is the outcome.
            ::kill(children_[to_upgrade_.front()].next, SIGKILL);
        }
        if (is_upgrading_ || to_upgrade_.empty()) return;
        Child& child = children_[to_upgrade_.front()];
        say("upgrading " + child.name);
        is_upgrading_ = true;
        upgrade_deadline_ = clock_.steady_now() + kUpgradeLimit;
        child.next = start(child);
        if (child.next < 0) end_upgrade("cannot fork");
    }

    // Without an error the next one's turn has come.
    void end_upgrade(const std::string& error) {
        Child& child = children_[to_upgrade_.front()];
        const std::string name = child.name;
        child.next = -1;
        is_upgrading_ = false;
        to_upgrade_.pop_front();
        if (error.empty()) {
            say(name + " upgraded: process " + std::to_string(child.pid));
            if (!to_upgrade_.empty()) return;
            return note_outcome("ok");
        }
        to_upgrade_.clear();
        const std::string text =
            name + " not upgraded: the new process ended (" + error + "), see " + child.log_file;
        say(text);
        note_outcome(text);
    }

    void note_outcome(const std::string& text) {
        const std::string path = outcome_path(dir_);
        const long number = std::strtol(read_line(path).c_str(), nullptr, 10) + 1;
        const std::string temporary = path + ".new";
        std::ofstream(temporary) << number << ' ' << text << '\n';
        std::error_code ignored;  // the outcome stands in the log as well
        std::filesystem::rename(temporary, path, ignored);
    }

    void take_notices() {
        for (auto pid = notices_->take(); pid; pid = notices_->take()) {
            if (!is_upgrading_) continue;
            Child& child = children_[to_upgrade_.front()];
            if (*pid != child.next) continue;
            if (child.pid > 0) child.retired.push_back(child.pid);
            child.pid = child.next;
            end_upgrade("");
        }
    }

    void note_end(Child& child, pid_t pid, const std::string& how) {
        std::erase(child.retired, pid);
        if (pid == child.next) {
            end_upgrade(how);
        } else if (pid == child.pid) {
            child.pid = -1;
            // One that takes over may be about to say that it serves.
            if (!is_stopping_ && child.next < 0) postpone(child, how);
        }
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
            for (Child& child : children_) note_end(child, pid, describe_exit(status));
        }
    }

    void wait_for_signal(milliseconds timeout) {
        const timespec limit{timeout.count() / 1000, (timeout.count() % 1000) * 1'000'000};
        const int signal = sigtimedwait(&signals_, nullptr, &limit);
        if (signal == SIGINT || signal == SIGTERM) is_stopping_ = true;
        if (signal == SIGHUP) ask_upgrade({kControlplane, kGateway});
        if (signal == SIGUSR1) ask_upgrade({kControlplane});
        if (signal == SIGUSR2) ask_upgrade({kGateway});
    }

    void stop(Child& child) {
        const auto signal_all = [&child](int signal) {
            for (const pid_t pid : {child.pid, child.next})
                if (pid > 0) ::kill(pid, signal);
            for (const pid_t pid : child.retired) ::kill(pid, signal);
        };
        signal_all(SIGTERM);
        const SteadyTime deadline = clock_.steady_now() + kStopLimit;
        while (child.pid > 0 || child.next > 0 || !child.retired.empty()) {
            if (clock_.steady_now() >= deadline) signal_all(SIGKILL);
            wait_for_signal(milliseconds(50));
            reap();
        }
    }

    // No request loses its answer: first the door, then the engines, then their keeper.
    void stop_everything() {
        std::printf("stopping\n");
        std::fflush(stdout);
        stop(children_[kGateway]);
        if (children_[kControlplane].pid > 0) {
            AdminClient admin(net::NetAddress{dir_ + "/run/admin.sock", "", 0});
            const auto parked = admin.call("POST", "/admin/v1/park", nlohmann::json::object());
            if (!parked) std::printf("engines may still run: %s\n", parked.error().message.c_str());
        }
        stop(children_[kControlplane]);
        std::error_code ignored;
        std::filesystem::remove(dir_ + "/run/ready.sock", ignored);
    }

    std::string dir_;
    SystemClock clock_;
    UniqueFd lock_;
    sigset_t signals_{};
    std::optional<net::ReadyNotices> notices_;
    std::vector<Child> children_;
    std::deque<std::size_t> to_upgrade_;
    SteadyTime upgrade_deadline_{};
    bool is_upgrading_ = false;  // the first of those
    bool is_stopping_ = false;
};

}  // namespace

int run_supervisor(const std::string& state_dir, const std::string& binary_dir) {
    return Supervisor(state_dir, binary_dir).run();
}

int run_upgrade(const std::string& state_dir, const std::string& what) {
    const std::string path = up_path(state_dir);
    const UniqueFd lock(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!lock.is_open() || ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) {
        return report(Error{
            ErrorCode::kUnavailable, "no `turnpike up` runs on " + state_dir + ": start it", {}});
    }
    const std::string before = read_line(outcome_path(state_dir));
    const auto up = static_cast<pid_t>(std::strtol(read_line(path).c_str(), nullptr, 10));
    const int signal = what == "controlplane" ? SIGUSR1 : what == "gateway" ? SIGUSR2 : SIGHUP;
    if (up <= 0 || ::kill(up, signal) != 0)
        return report(errno_error("cannot signal `turnpike up`"));
    const SystemClock clock;
    const SteadyTime deadline = clock.steady_now() + kOutcomeLimit;
    while (clock.steady_now() < deadline) {
        const std::string outcome = read_line(outcome_path(state_dir));
        if (outcome != before && !outcome.empty()) {
            const std::string text = outcome.substr(outcome.find(' ') + 1);
            std::printf("%s\n", text.c_str());
            return text == "ok" ? kOk : kFailed;
        }
        const timespec pause{0, 20'000'000};
        ::nanosleep(&pause, nullptr);
    }
    return report(Error{ErrorCode::kTimeout, "no outcome in time: see the logs", {}});
}

}  // namespace turnpike::controlplane::cli
