#include "gateway/policy/lease_book.h"

#include <algorithm>

namespace turnpike::gateway {

using controlplane::LeaseAnswer;
using controlplane::LeaseGrant;
using controlplane::LeaseRequest;

namespace {

constexpr Nanos kNanosPerMilli = 1'000'000;

}  // namespace

LeaseBook::LeaseBook(LeaseBookOptions options) : options_(options) {
    share_.ppm = options.share_ppm;
}

CreditLease& LeaseBook::use(const std::string& subject, Nanos now) {
    Entry& entry = entries_[subject];
    entry.used_at = std::max(entry.used_at, now);
    return entry.lease;
}

bool LeaseBook::is_idle(const Entry& entry, Nanos now) const {
    const bool is_quiet = now - entry.used_at >= options_.idle_after;
    return is_quiet && entry.lease.held() == NanoUsd() && entry.settled == entry.lease.spent();
}

NanoUsd LeaseBook::target_of(const Entry& entry) const {
    return std::max(options_.slice, entry.lease.held());
}

bool LeaseBook::needs_renewal(Nanos now) const {
    if (now >= renew_at_) return true;
    for (const auto& [subject, entry] : entries_) {
        if (is_idle(entry, now)) continue;
        const NanoUsd free = entry.lease.free();
        if (free + free < target_of(entry)) return true;
    }
    return false;
}

LeaseRequest LeaseBook::next_request(const std::string& gateway,
                                     bool has_delivered_earlier_runs,
                                     Nanos now) {
    LeaseRequest request;
    request.gateway = gateway;
    request.epoch = epoch_;
    request.has_delivered_earlier_runs = has_delivered_earlier_runs;
    request.share_ppm = share_.ppm;
    for (auto& [subject, entry] : entries_) {
        if (request.asks.size() == controlplane::kMaxLeaseAsks) break;
        CreditLease& lease = entry.lease;
        NanoUsd wanted = lease.granted();
        if (is_idle(entry, now)) {
            lease.give_back_free();
        } else {
            wanted = wanted + std::max(NanoUsd(), target_of(entry) - lease.free());
        }
        // Each request of epoch 0 begins an epoch: settled in the second one, it is settled once.
        const NanoUsd settled = epoch_ == Epoch(0) ? NanoUsd() : entry.settled;
        request.asks.push_back({subject, settled, lease.returned(), wanted});
    }
    return request;
}

LeaseRequest LeaseBook::leave(const std::string& gateway, bool has_delivered_earlier_runs) {
    LeaseRequest request;
    request.gateway = gateway;
    request.epoch = epoch_;
    request.has_delivered_earlier_runs = has_delivered_earlier_runs;
    request.is_leaving = true;
    share_.ppm = 0;
    if (epoch_ == Epoch(0)) return request;
    for (auto& [subject, entry] : entries_) {
        if (request.asks.size() == controlplane::kMaxLeaseAsks) break;
        CreditLease& lease = entry.lease;
        lease.expire();
        const NanoUsd returned = lease.give_back_free();
        request.asks.push_back({subject, entry.settled, returned, lease.granted()});
    }
    return request;
}

// The whole at once means that nobody else is there whose burst this was.
void LeaseBook::take_share(std::int64_t ppm, Nanos now) {
    const bool is_first = epoch_ == Epoch(0);
    const bool is_alone = is_first && ppm == controlplane::kWholeShare;
    if (ppm > share_.ppm && !is_alone) {
        share_.gained_ppm += ppm - share_.ppm;
        share_.gained_at = now;
    }
    share_.ppm = ppm;
}

void LeaseBook::apply(const LeaseAnswer& answer, Nanos sent_at, Nanos now) {
    const Nanos lifetime = answer.lifetime_ms * kNanosPerMilli;
    take_share(answer.share_ppm, now);
    epoch_ = answer.epoch;
    renew_at_ = sent_at + lifetime / 2;
    for (const LeaseGrant& grant : answer.grants) {
        const auto entry = entries_.find(grant.subject);
        if (entry == entries_.end()) continue;
        entry->second.lease.grant(grant.granted, sent_at + lifetime);
        entry->second.is_short = grant.is_short;
    }
}

void LeaseBook::fence() {
    is_fenced_ = true;
    for (auto& [subject, entry] : entries_) entry.lease.expire();
}

void LeaseBook::end_allowances() {
    for (auto& [subject, entry] : entries_) entry.lease.end_allowance();
}

void LeaseBook::checkpoint() {
    for (auto& [subject, entry] : entries_) entry.checkpointed = entry.lease.spent();
}

void LeaseBook::confirm_checkpoint() {
    for (auto& [subject, entry] : entries_) entry.settled = entry.checkpointed;
}

bool LeaseBook::is_short(const std::string& subject) const {
    const auto entry = entries_.find(subject);
    return entry != entries_.end() && entry->second.is_short;
}

}  // namespace turnpike::gateway
