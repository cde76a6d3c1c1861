#include "controlplane/run/exit_watcher.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstdint>
#include <iterator>
#include <utility>

#include "config/base/check.h"

namespace turnpike::controlplane {

ExitWatcher::ExitWatcher(std::function<void()> on_exit)
    : on_exit_(std::move(on_exit)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    CHECK(wake_.is_open());
    thread_ = std::thread([this] { run(); });
}

ExitWatcher::~ExitWatcher() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    signal_thread();
    thread_.join();
}

void ExitWatcher::watch(const ProcessIdentity& identity) {
    UniqueFd process = open_process(identity);
    if (!process.is_open()) return on_exit_();
    {
        const std::lock_guard lock(mutex_);
        added_.push_back(std::move(process));
    }
    signal_thread();
}

void ExitWatcher::signal_thread() {
    const std::uint64_t one = 1;
    // The counter cannot overflow, and a pending wake-up is as good as two.
    CHECK(::write(wake_.get(), &one, sizeof one) == sizeof one || errno == EAGAIN);
}

void ExitWatcher::run() {
    std::vector<UniqueFd> processes;
    while (true) {
        {
            const std::lock_guard lock(mutex_);
            if (is_stopping_) return;
            std::move(added_.begin(), added_.end(), std::back_inserter(processes));
            added_.clear();
        }
        std::vector<pollfd> polled{{wake_.get(), POLLIN, 0}};
        for (const UniqueFd& process : processes) polled.push_back({process.get(), POLLIN, 0});
        const int num_events = ::poll(polled.data(), polled.size(), -1);
        CHECK(num_events > 0 || errno == EINTR);
        if (num_events < 0) continue;
        std::uint64_t drained = 0;
        if (polled[0].revents != 0) CHECK(::read(wake_.get(), &drained, sizeof drained) > 0);
        std::vector<UniqueFd> still_running;
        for (std::size_t i = 0; i < processes.size(); ++i) {
            if (polled[i + 1].revents == 0) still_running.push_back(std::move(processes[i]));
        }
        const bool any_ended = still_running.size() != processes.size();
        processes = std::move(still_running);
        if (any_ended) on_exit_();
    }
}

}  // namespace turnpike::controlplane
