// Gcra: the generic cell rate algorithm (ITU-T I.371, annex A) in integers: one backlog that drains
// at the limit's rate and may hold one minute's worth. Pure; the time is an argument. Not
// thread-safe.
#pragma once

#include <cstdint>

namespace turnpike::gateway {

using Nanos = std::int64_t;  // of the steady clock, or a duration

inline constexpr Nanos kNanosPerMinute = 60'000'000'000;

class Gcra {
  public:
    // `limit`: units per minute, also the burst; 1 to controlplane::kMaxPerMinute. It may differ
    // from call to call, as limits change. A time before an earlier one counts as that one.

    // How long until `cost` fits; 0: now. A cost over the burst waits for an empty backlog.
    Nanos wait_for(std::int64_t limit, std::int64_t cost, Nanos now) const;
    // Adds to the backlog whether it fits or not: a debt delays what comes after it.
    void take(std::int64_t limit, std::int64_t cost, Nanos now);
    // Adds what was taken at `taken_at`, an earlier time, and has drained since.
    void take_late(std::int64_t limit, std::int64_t cost, Nanos taken_at, Nanos now);
    // Takes back a part of what was taken at `taken_at`. What has drained since cannot be taken
    // back, so that nobody gets more than by the true cost from the start.
    void give_back(std::int64_t limit, std::int64_t cost, Nanos taken_at, Nanos now);

    // What a cost may be now; 0 to limit.
    std::int64_t remaining(std::int64_t limit, Nanos now) const;
    // Until the whole burst is there.
    Nanos reset_after(std::int64_t limit, Nanos now) const;

  private:
    __extension__ using Wide = __int128;

    Wide backlog_at(std::int64_t limit, Nanos now) const;
    void drain(std::int64_t limit, Nanos now);

    Wide backlog_ = 0;  // units * ns per minute
    Nanos updated_at_ = INT64_MIN;
};

}  // namespace turnpike::gateway
