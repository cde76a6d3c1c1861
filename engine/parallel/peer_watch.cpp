// See peer_watch.h.
#include "engine/parallel/peer_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

namespace turnpike::engine {

Result<std::unique_ptr<PeerWatch>> PeerWatch::start(const std::vector<int>& pids,
                                                    std::function<void(std::size_t)> on_end) {
    std::vector<UniqueFd> processes;
    for (const int pid : pids) {
        if (pid == ::getpid()) {
            processes.emplace_back();
            continue;
        }
        processes.emplace_back(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
        if (processes.back().is_open()) continue;
        if (errno != ESRCH) return errno_error("watching process " + std::to_string(pid));
        return Error{
            ErrorCode::kUnavailable, "process " + std::to_string(pid) + " has ended already", {}};
    }
    UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
    if (!stop.is_open()) return errno_error("eventfd");
    return std::unique_ptr<PeerWatch>(
        new PeerWatch(std::move(processes), std::move(stop), std::move(on_end)));
}

PeerWatch::PeerWatch(std::vector<UniqueFd> processes,
                     UniqueFd stop,
                     std::function<void(std::size_t)> on_end)
    : processes_(std::move(processes)),
      stop_(std::move(stop)),
      on_end_(std::move(on_end)),
      thread_([this] { run(); }) {}

PeerWatch::~PeerWatch() {
    (void)::eventfd_write(stop_.get(), 1);
    thread_.join();
}

void PeerWatch::run() {
    std::vector<pollfd> waiting;
    for (const UniqueFd& process : processes_) waiting.push_back({process.get(), POLLIN, 0});
    waiting.push_back({stop_.get(), POLLIN, 0});  // poll ignores negative descriptors
    while (true) {
        if (::poll(waiting.data(), waiting.size(), -1) < 0) continue;  // EINTR
        if (waiting.back().revents != 0) return;
        for (std::size_t i = 0; i < processes_.size(); ++i) {
            if (waiting[i].revents == 0) continue;
            waiting[i].fd = -1;
            processes_[i].reset();
            on_end_(i);
        }
    }
}

}  // namespace turnpike::engine
