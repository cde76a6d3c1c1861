#include "gateway/policy/routing.h"

#include <vector>

#include "config/base/check.h"

namespace turnpike::gateway {

using controlplane::ReplicaRow;

InFlight::Token& InFlight::Token::operator=(Token&& other) noexcept {
    if (this != &other) {
        release();
        owner_ = std::exchange(other.owner_, nullptr);
        replica_ = std::move(other.replica_);
    }
    return *this;
}

void InFlight::Token::release() {
    if (owner_ == nullptr) return;
    const auto entry = owner_->counts_.find(replica_);
    CHECK(entry != owner_->counts_.end() && entry->second > 0);
    // Idle replicas are forgotten, so the table is no larger than what is in flight.
    if (--entry->second == 0) owner_->counts_.erase(entry);
    owner_ = nullptr;
}

InFlight::Token InFlight::begin(const ReplicaId& replica) {
    ++counts_[replica];
    return Token(*this, replica);
}

int InFlight::count(const ReplicaId& replica) const {
    const auto entry = counts_.find(replica);
    return entry == counts_.end() ? 0 : entry->second;
}

const ReplicaRow* choose_replica(std::span<const ReplicaRow> ready,
                                 const InFlight& in_flight,
                                 std::uint64_t random,
                                 const ReplicaId* excluded) {
    std::vector<const ReplicaRow*> candidates;
    candidates.reserve(ready.size());
    for (const ReplicaRow& replica : ready) {
        if (excluded == nullptr || replica.id != *excluded) candidates.push_back(&replica);
    }
    if (candidates.empty()) return nullptr;
    if (candidates.size() == 1) return candidates.front();
    const std::uint64_t count = candidates.size();
    const std::uint64_t first = (random & 0xFFFFFFFFU) % count;
    // Of the others, so that the two always differ.
    const std::uint64_t second = (first + 1 + (random >> 32U) % (count - 1)) % count;
    const ReplicaRow* a = candidates[first];
    const ReplicaRow* b = candidates[second];
    return in_flight.count(b->id) < in_flight.count(a->id) ? b : a;
}

}  // namespace turnpike::gateway
