#include "gateway/policy/gcra.h"

#include <algorithm>

namespace turnpike::gateway {
namespace {

__extension__ using Wide = __int128;

Nanos ceil_divide(Wide amount, std::int64_t rate) {
    if (amount <= 0) return 0;
    return static_cast<Nanos>((amount + rate - 1) / rate);
}

}  // namespace

Gcra::Wide Gcra::backlog_at(std::int64_t limit, Nanos now) const {
    if (now <= updated_at_) return backlog_;
    const Wide elapsed = static_cast<Wide>(now) - updated_at_;
    return std::max<Wide>(0, backlog_ - elapsed * limit);
}

void Gcra::drain(std::int64_t limit, Nanos now) {
    backlog_ = backlog_at(limit, now);
    updated_at_ = std::max(updated_at_, now);
}

Nanos Gcra::wait_for(std::int64_t limit, std::int64_t cost, Nanos now) const {
    const Wide charged = static_cast<Wide>(std::min(cost, limit)) * kNanosPerMinute;
    const Wide room = static_cast<Wide>(limit) * kNanosPerMinute;
    const Nanos wait = ceil_divide(backlog_at(limit, now) + charged - room, limit);
    // After a step back the backlog stands still until the clock is where it was.
    return wait == 0 ? 0 : wait + std::max<Nanos>(0, updated_at_ - now);
}

void Gcra::take(std::int64_t limit, std::int64_t cost, Nanos now) {
    drain(limit, now);
    backlog_ += static_cast<Wide>(cost) * kNanosPerMinute;
}

void Gcra::take_late(std::int64_t limit, std::int64_t cost, Nanos taken_at, Nanos now) {
    drain(limit, now);
    const Wide elapsed = std::max<Wide>(0, static_cast<Wide>(updated_at_) - taken_at);
    const Wide left = static_cast<Wide>(cost) * kNanosPerMinute - elapsed * limit;
    backlog_ += std::max<Wide>(0, left);
}

void Gcra::give_back(std::int64_t limit, std::int64_t cost, Nanos taken_at, Nanos now) {
    drain(limit, now);
    const Wide elapsed = std::max<Wide>(0, static_cast<Wide>(updated_at_) - taken_at);
    const Wide left = static_cast<Wide>(cost) * kNanosPerMinute - elapsed * limit;
    backlog_ = std::max<Wide>(0, backlog_ - std::max<Wide>(0, left));
}

std::int64_t Gcra::remaining(std::int64_t limit, Nanos now) const {
    const Wide room = static_cast<Wide>(limit) * kNanosPerMinute - backlog_at(limit, now);
    return static_cast<std::int64_t>(std::max<Wide>(0, room / kNanosPerMinute));
}

Nanos Gcra::reset_after(std::int64_t limit, Nanos now) const {
    return ceil_divide(backlog_at(limit, now), limit);
}

}  // namespace turnpike::gateway
