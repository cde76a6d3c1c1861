#include "controlplane/run/minute_billing.h"

#include <map>
#include <string>
#include <vector>

#include "config/base/failpoint.h"
#include "controlplane/store/endpoints.h"
#include "controlplane/store/minutes.h"
#include "controlplane/store/organisations.h"

namespace turnpike::controlplane {
namespace {

constexpr const char* kActor = "billing";

bool is_billed(const Endpoint& endpoint) {
    return endpoint.type == EndpointType::kDedicated;
}

}  // namespace

void MinuteBilling::note_failure(const Error& error) {
    log_.error("minute_billing_failed", {{"error", error.message}});
}

void MinuteBilling::run(Desired& desired, const Observed& observed, WallTime now) {
    const std::int64_t minute = minute_of(now);
    const bool is_new_minute = minute != minute_;
    if (is_new_minute) booked_.clear();
    minute_ = minute;
    book(desired, observed, now);
    if (!is_new_minute) return;
    std::set<EndpointId> ready;
    for (const Replica& replica : observed.replicas) {
        if (replica.state == ReplicaState::kReady) ready.insert(replica.endpoint);
    }
    for (Endpoint& endpoint : desired.endpoints) {
        if (is_billed(endpoint) && !endpoint.is_deleted)
            check_credit(endpoint, ready.contains(endpoint.id), now);
    }
}

void MinuteBilling::book(const Desired& desired, const Observed& observed, WallTime now) {
    std::map<EndpointId, const Endpoint*> endpoints;
    for (const Endpoint& endpoint : desired.endpoints) {
        if (is_billed(endpoint)) endpoints[endpoint.id] = &endpoint;
    }
    std::set<ReplicaId> serving;
    for (const ObservedProcess& process : observed.processes) {
        if (process.is_running && process.answer == Answer::kReady) serving.insert(process.id);
    }
    std::vector<ReadyReplica> ready;
    for (const Replica& replica : observed.replicas) {
        const auto endpoint = endpoints.find(replica.endpoint);
        const bool is_ready = replica.state == ReplicaState::kReady && serving.contains(replica.id);
        if (!is_ready || endpoint == endpoints.end() || booked_.contains(replica.id)) continue;
        const Endpoint& owner = *endpoint->second;
        ready.push_back({replica.id, owner.id, owner.name, owner.owner, replica.index});
    }
    if (ready.empty()) return;
    const auto num_new = book_minutes(store_, ready, now);
    if (!num_new) return note_failure(num_new.error());
    metrics_.minutes_booked.add(*num_new);
    pass_failpoint(Failpoint::kMinutesBooked);
    for (const ReadyReplica& one : ready) booked_.insert(one.replica);
}

void MinuteBilling::check_credit(Endpoint& endpoint, bool has_ready, WallTime now) {
    if (endpoint.desired != DesiredState::kStarted) return;
    const auto owner = find_organisation(store_, endpoint.owner.value());
    if (!owner) return note_failure(owner.error());
    const auto price = price_of_minute(store_, endpoint.name, now);
    if (!price) return note_failure(price.error());
    const bool is_paid = *price == NanoUsd() || owner->balance_nano_usd + overdraft_ >= *price;
    if (is_paid != !endpoint.unpaid_since) {
        endpoint.unpaid_since = is_paid ? std::nullopt : std::optional(now);
        const Status written = set_unpaid_since(store_, endpoint.id, endpoint.unpaid_since);
        if (!written) return note_failure(written.error());
        log_.warning(is_paid ? "endpoint_paid" : "endpoint_unpaid",
                     {{"endpoint", endpoint.id.value()}, {"org", endpoint.owner.value()}});
    }
    const bool is_over = endpoint.unpaid_since && now - *endpoint.unpaid_since >= kCreditGrace;
    if (!is_over || !has_ready) return;
    EndpointChange change;
    change.desired = DesiredState::kStopped;
    change.stop_reason = "the credit of its organisation is gone";
    const auto changed = update_endpoint(store_, endpoint.id, change, kActor, now);
    if (!changed) return note_failure(changed.error());
    log_.warning("endpoint_stopped",
                 {{"endpoint", endpoint.id.value()}, {"reason", *change.stop_reason}});
    endpoint = *changed;
}

}  // namespace turnpike::controlplane
