#include "gateway/policy/outliers.h"

#include <algorithm>

namespace turnpike::gateway {

Outliers::State Outliers::state(const ReplicaId& replica, SteadyTime now) const {
    const auto entry = entries_.find(replica);
    if (entry == entries_.end() || entry->second.num_failures < kFailures) return State::kUsable;
    return now < entry->second.until ? State::kEjected : State::kHalfOpen;
}

void Outliers::begin(const ReplicaId& replica, SteadyTime now) {
    if (state(replica, now) != State::kHalfOpen) return;
    // If its end is never told, another may try after as long.
    Entry& entry = entries_[replica];
    entry.until = now + entry.time;
}

void Outliers::note_failure(const ReplicaId& replica, SteadyTime now) {
    Entry& entry = entries_[replica];
    ++entry.num_failures;
    if (entry.num_failures < kFailures) return;
    entry.time =
        entry.num_failures == kFailures ? kFirstTime : std::min(entry.time * 2, kLongestTime);
    entry.until = now + entry.time;
}

void Outliers::note_success(const ReplicaId& replica) {
    entries_.erase(replica);
}

}  // namespace turnpike::gateway
