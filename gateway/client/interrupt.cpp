#include "gateway/client/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <utility>

#include "config/base/check.h"

namespace turnpike::gateway::client {

InterruptWatcher::InterruptWatcher(std::function<void()> on_interrupt)
    : on_interrupt_(std::move(on_interrupt)) {
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    CHECK(pthread_sigmask(SIG_BLOCK, &interrupt, &mask_before_) == 0);
    signals_ = UniqueFd(::signalfd(-1, &interrupt, SFD_CLOEXEC | SFD_NONBLOCK));
    stop_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
    CHECK(signals_.is_open() && stop_.is_open());
    thread_ = std::thread([this] { watch(); });
}

InterruptWatcher::~InterruptWatcher() {
    const std::uint64_t one = 1;
    CHECK(::write(stop_.get(), &one, sizeof one) == sizeof one);
    thread_.join();
    pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
}

void InterruptWatcher::watch() {
    pollfd fds[2] = {{signals_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    for (;;) {
        if (::poll(fds, 2, -1) < 0) continue;  // interrupted by another signal
        if (fds[1].revents != 0) return;
        signalfd_siginfo info{};
        if (::read(signals_.get(), &info, sizeof info) == sizeof info) on_interrupt_();
    }
}

}  // namespace turnpike::gateway::client
