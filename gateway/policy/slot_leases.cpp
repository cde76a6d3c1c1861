#include "gateway/policy/slot_leases.h"

#include <algorithm>

namespace turnpike::gateway {

std::int64_t SlotLeases::count(Nanos now) {
    latest_ = std::max(latest_, now);
    while (!by_age_.empty() && by_age_.front().expires_at <= latest_) {
        by_id_.erase(by_age_.front().id);
        by_age_.pop_front();
    }
    return static_cast<std::int64_t>(by_age_.size());
}

Nanos SlotLeases::next_expiry(Nanos now) const {
    if (by_age_.empty()) return 0;
    return std::max<Nanos>(1, by_age_.front().expires_at - std::max(latest_, now));
}

void SlotLeases::take(std::uint64_t id, Nanos now) {
    latest_ = std::max(latest_, now);
    release(id);
    by_id_[id] = by_age_.insert(by_age_.end(), Lease{id, latest_ + kSlotLifetime});
}

void SlotLeases::release(std::uint64_t id) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return;
    by_age_.erase(found->second);
    by_id_.erase(found);
}

}  // namespace turnpike::gateway
