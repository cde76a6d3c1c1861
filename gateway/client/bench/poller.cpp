#include "gateway/client/bench/poller.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <cerrno>

#include "config/base/check.h"

namespace turnpike::gateway::client::bench {
namespace {

std::uint32_t events_of(net::IoNeed need) {
    switch (need) {
        case net::IoNeed::kNone:
            return 0;
        case net::IoNeed::kReadable:
            return EPOLLIN;
        case net::IoNeed::kWritable:
            return EPOLLOUT;
    }
    return 0;
}

void drain(const UniqueFd& fd) {
    std::uint64_t count = 0;
    // Nothing to read is fine: the event was older than a change of the timer.
    [[maybe_unused]] const auto taken = ::read(fd.get(), &count, sizeof count);
}

}  // namespace

Poller::Poller()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    CHECK(epoll_.is_open() && timer_.is_open() && wake_.is_open());
    watch(timer_.get(), net::IoNeed::kReadable, &timer_);
    watch(wake_.get(), net::IoNeed::kReadable, &wake_);
}

void Poller::watch(int fd, net::IoNeed need, void* token) {
    epoll_event event{events_of(need), {.ptr = token}};
    CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
}

void Poller::change(int fd, net::IoNeed need, void* token) {
    epoll_event event{events_of(need), {.ptr = token}};
    CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0);
}

void Poller::arm_timer(SteadyTime deadline) {
    if (deadline == armed_) return;
    armed_ = deadline;
    const auto since_boot = deadline.time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
    itimerspec when{};
    when.it_value.tv_sec = seconds.count();
    when.it_value.tv_nsec = std::chrono::nanoseconds(since_boot - seconds).count();
    CHECK(::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) == 0);
}

std::span<void* const> Poller::wait(SteadyTime deadline) {
    arm_timer(deadline);
    const int count = ::epoll_wait(epoll_.get(), events_.data(), kMaxEvents, -1);
    CHECK(count >= 0 || errno == EINTR);
    std::size_t num_tokens = 0;
    for (int i = 0; i < count; ++i) {
        void* token = events_[static_cast<std::size_t>(i)].data.ptr;
        if (token == &timer_) {
            drain(timer_);
            armed_ = SteadyTime::max();
        } else if (token == &wake_) {
            drain(wake_);
        } else {
            tokens_[num_tokens++] = token;
        }
    }
    return {tokens_.data(), num_tokens};
}

void Poller::wake() {
    const std::uint64_t one = 1;
    CHECK(::write(wake_.get(), &one, sizeof one) == sizeof one);
}

}  // namespace turnpike::gateway::client::bench
