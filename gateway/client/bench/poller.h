// Poller: waits for many descriptors and a moment at once (epoll and a timer of nanoseconds).
#pragma once

#include <sys/epoll.h>

#include <array>
#include <span>

#include "config/base/clock.h"
#include "config/base/unique_handle.h"
#include "config/net/client_dialer.h"

namespace turnpike::gateway::client::bench {

class Poller {
  public:
    Poller();

    // `token` comes back from wait() for as long as the need is met (level-triggered), or the
    // descriptor is broken. Closing a descriptor ends the watch.
    void watch(int fd, net::IoNeed need, void* token);
    void change(int fd, net::IoNeed need, void* token);

    // Tokens of what is ready; empty when `deadline` or wake() came first. Valid until the next
    // call.
    std::span<void* const> wait(SteadyTime deadline);

    // Any thread: ends this wait(), or else the next.
    void wake();

  private:
    void arm_timer(SteadyTime deadline);

    static constexpr std::size_t kMaxEvents = 512;

    UniqueFd epoll_;
    UniqueFd timer_;
    UniqueFd wake_;
    SteadyTime armed_ = SteadyTime::max();
    std::array<epoll_event, kMaxEvents> events_{};
    std::array<void*, kMaxEvents> tokens_{};
};

}  // namespace turnpike::gateway::client::bench
