// SlotLeases: requests in flight as leases that expire unless renewed, so that no crash or lost
// release keeps a slot for good. Pure; the time is an argument. Not thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>

#include "gateway/policy/gcra.h"

namespace turnpike::gateway {

// Renewed with every meter line; an engine sends a comment every 10 s at least.
inline constexpr Nanos kSlotLifetime = 120'000'000'000;

class SlotLeases {
  public:
    // Those that have not expired.
    std::int64_t count(Nanos now);
    // Until the next one can expire; 0 when there is none.
    Nanos next_expiry(Nanos now) const;
    // `id` is the caller's own; taking one that is there renews it.
    void take(std::uint64_t id, Nanos now);

    // One that has expired takes its slot again: its request lives.
    void renew(std::uint64_t id, Nanos now) { take(id, now); }

    // Releasing twice is releasing once.
    void release(std::uint64_t id);

  private:
    struct Lease {
        std::uint64_t id = 0;
        Nanos expires_at = 0;
    };

    std::list<Lease> by_age_;  // the next to expire first, as all live equally long
    std::unordered_map<std::uint64_t, std::list<Lease>::iterator> by_id_;
    Nanos latest_ = INT64_MIN;  // a clock that steps back must not reorder them
};

}  // namespace turnpike::gateway
