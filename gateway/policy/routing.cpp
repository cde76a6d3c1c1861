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
        num_tokens_ = other.num_tokens_;
    }
    return *this;
}

void InFlight::Token::release() {
    if (owner_ == nullptr) return;
    const auto entry = owner_->loads_.find(replica_);
    CHECK(entry != owner_->loads_.end() && entry->second.num_requests > 0);
    entry->second.num_tokens -= num_tokens_;
    // Idle replicas are forgotten, so the table is no larger than what is in flight.
    if (--entry->second.num_requests == 0) owner_->loads_.erase(entry);
    owner_ = nullptr;
}

InFlight::Token InFlight::begin(const ReplicaId& replica, TokenCount num_tokens) {
    Load& load = loads_[replica];
    ++load.num_requests;
    load.num_tokens += num_tokens;
    return Token(*this, replica, num_tokens);
}

int InFlight::count(const ReplicaId& replica) const {
    const auto entry = loads_.find(replica);
    return entry == loads_.end() ? 0 : entry->second.num_requests;
}

TokenCount InFlight::tokens(const ReplicaId& replica) const {
    const auto entry = loads_.find(replica);
    return entry == loads_.end() ? 0 : entry->second.num_tokens;
}

namespace {

using Candidates = std::vector<const ReplicaRow*>;

std::uint64_t scrambled(std::uint64_t value) {
    value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9ULL;
    value = (value ^ (value >> 27U)) * 0x94D049BB133111EBULL;
    return value ^ (value >> 31U);
}

std::uint64_t hash_of(std::string_view text, std::uint64_t seed) {
    // FNV-1a, scrambled: stable from one gateway to another.
    std::uint64_t hash = seed ^ 0xCBF29CE484222325ULL;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
    return scrambled(hash);
}

Candidates candidates_of(std::span<const ReplicaRow> ready,
                         const Outliers& outliers,
                         const RoutingHint& hint) {
    Candidates usable;
    Candidates all;
    usable.reserve(ready.size());
    for (const ReplicaRow& replica : ready) {
        if (hint.excluded != nullptr && replica.id == *hint.excluded) continue;
        all.push_back(&replica);
        if (outliers.state(replica.id, hint.now) != Outliers::State::kEjected)
            usable.push_back(&replica);
    }
    return usable.empty() ? all : usable;
}

const ReplicaRow* preferred_of(const Candidates& candidates, std::uint64_t prefix) {
    const ReplicaRow* best = candidates.front();
    std::uint64_t most = 0;
    for (const ReplicaRow* replica : candidates) {
        const std::uint64_t weight = hash_of(replica->id.value(), prefix);
        if (weight < most) continue;
        most = weight;
        best = replica;
    }
    return best;
}

const ReplicaRow* less_loaded_of_two(const Candidates& candidates,
                                     const InFlight& in_flight,
                                     std::uint64_t random) {
    const std::uint64_t count = candidates.size();
    const std::uint64_t first = (random & 0xFFFFFFFFU) % count;
    // Of the others, so that the two always differ.
    const std::uint64_t second = (first + 1 + (random >> 32U) % (count - 1)) % count;
    const ReplicaRow* a = candidates[first];
    const ReplicaRow* b = candidates[second];
    return in_flight.tokens(b->id) < in_flight.tokens(a->id) ? b : a;
}

}  // namespace

std::uint64_t hash_prefix(std::string_view salt, std::string_view body) {
    std::size_t begin = body.find("\"messages\"");
    if (begin == std::string_view::npos) begin = body.find("\"prompt\"");
    if (begin == std::string_view::npos) begin = 0;
    const std::uint64_t hash = hash_of(body.substr(begin, kPrefixBytes), hash_of(salt, 0));
    return hash == 0 ? 1 : hash;
}

const ReplicaRow* choose_replica(std::span<const ReplicaRow> ready,
                                 const InFlight& in_flight,
                                 const Outliers& outliers,
                                 const RoutingHint& hint) {
    const Candidates candidates = candidates_of(ready, outliers, hint);
    if (candidates.empty()) return nullptr;
    if (candidates.size() == 1) return candidates.front();
    const ReplicaRow* less = less_loaded_of_two(candidates, in_flight, hint.random);
    if (hint.prefix == 0) return less;
    const ReplicaRow* preferred = preferred_of(candidates, hint.prefix);
    const int ahead = in_flight.count(preferred->id) - in_flight.count(less->id);
    return ahead <= kMostAhead ? preferred : less;
}

}  // namespace turnpike::gateway
