// Clock: the only way to learn the time. Decisions take `now` as an argument; shells hold a Clock&.
// Tests use tests/support/fake_clock.h. Only SystemClock calls now(); tidy forbids it elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace turnpike {

using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;
using SteadyTime = std::chrono::steady_clock::time_point;

class Clock {
  public:
    virtual ~Clock() = default;
    // UTC; may step. For records and expiry.
    virtual WallTime wall_now() const = 0;
    // Never steps. For time-outs, pacing and durations.
    virtual SteadyTime steady_now() const = 0;
};

class SystemClock final : public Clock {
  public:
    WallTime wall_now() const override;
    SteadyTime steady_now() const override;
};

// Microseconds since 1970 UTC, the form of every `_at_us` column and field.
std::int64_t to_unix_us(WallTime time);
WallTime from_unix_us(std::int64_t unix_us);

// RFC 3339 in UTC with milliseconds: "2026-11-23T21:05:23.120Z".
std::string format_rfc3339(WallTime time);

}  // namespace turnpike
