// FakeClock: time that moves only when a test says so. Thread-safe, so that a test may advance it
// while the code under test waits on another thread.
#pragma once

#include <mutex>

#include "config/base/clock.h"

namespace turnpike::test {

class FakeClock final : public Clock {
  public:
    // Starts at `unix_us` microseconds since 1970 UTC; by default 2026-01-01T00:00:00Z.
    explicit FakeClock(std::int64_t unix_us = 1'767'225'600'000'000)
        : wall_(from_unix_us(unix_us)) {}

    WallTime wall_now() const override {
        const std::lock_guard lock(mutex_);
        return wall_;
    }

    SteadyTime steady_now() const override {
        const std::lock_guard lock(mutex_);
        return steady_;
    }

    // Moves both clocks forward.
    void advance(std::chrono::microseconds duration) {
        const std::lock_guard lock(mutex_);
        wall_ += duration;
        steady_ += duration;
    }

    // Steps the wall clock alone, as an administrator or NTP does; may go backwards.
    void step_wall(std::chrono::microseconds offset) {
        const std::lock_guard lock(mutex_);
        wall_ += offset;
    }

  private:
    mutable std::mutex mutex_;
    WallTime wall_;
    SteadyTime steady_{};
};

}  // namespace turnpike::test
