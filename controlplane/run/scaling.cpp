#include "controlplane/run/scaling.h"

#include <algorithm>
#include <set>
#include <utility>

#include "config/base/failpoint.h"
#include "controlplane/store/endpoints.h"

namespace turnpike::controlplane {
namespace {

constexpr const char* kActor = "autoscaler";
// Idle times are minutes, so the store is told once in one.
constexpr auto kActivityPeriod = std::chrono::minutes(1);

bool is_wanted(const Endpoint& endpoint) {
    return endpoint.desired == DesiredState::kStarted && !endpoint.is_deleted;
}

}  // namespace

Scaling::Scaling(
    ScalePolicies policies, LoadSource loads, Store& store, LoopMetrics& metrics, Log& log)
    : policies_(std::move(policies)),
      loads_(std::move(loads)),
      store_(store),
      metrics_(metrics),
      log_(log) {}

ScalePolicy Scaling::policy_of(const Endpoint& endpoint) const {
    ScalePolicy policy = policies_.standard;
    const auto own = policies_.target_in_flight.find(endpoint.model);
    if (own != policies_.target_in_flight.end()) policy.target_in_flight = own->second;
    if (endpoint.inactive_timeout_minutes > 0)
        policy.idle_window = std::chrono::minutes(endpoint.inactive_timeout_minutes);
    return policy;
}

void Scaling::run(Desired& desired, const Observed& observed, WallTime now) {
    const auto loads = loads_ ? loads_(now) : std::nullopt;
    if (!loads || desired.is_parked) return;
    std::map<EndpointId, EndpointLoad> load_of;
    for (const EndpointLoad& load : *loads) load_of[load.endpoint] = load;
    std::map<ReplicaId, double> kv_usage;
    for (const ObservedProcess& process : observed.processes) {
        if (process.is_running && process.answer == Answer::kReady)
            kv_usage[process.id] = process.kv_usage;
    }
    std::map<EndpointId, Serving> serving;
    for (const Replica& replica : observed.replicas) {
        const auto usage = kv_usage.find(replica.id);
        if (replica.state != ReplicaState::kReady || usage == kv_usage.end()) continue;
        Serving& one = serving[replica.endpoint];
        ++one.num_ready;
        one.kv_usage += usage->second;
    }
    std::set<EndpointId> wanted;
    for (Endpoint& endpoint : desired.endpoints) {
        if (!is_wanted(endpoint)) continue;
        wanted.insert(endpoint.id);
        scale(endpoint, serving[endpoint.id], load_of[endpoint.id], now);
    }
    std::erase_if(scalers_, [&](const auto& entry) { return !wanted.contains(entry.first); });
}

void Scaling::scale(Endpoint& endpoint,
                    const Serving& serving,
                    const EndpointLoad& load,
                    WallTime now) {
    const int current = std::clamp(endpoint.target_replicas, endpoint.autoscaling.min_replicas,
                                   endpoint.autoscaling.max_replicas);
    auto [entry, is_new] = scalers_.try_emplace(endpoint.id, current, endpoint.last_active_at, now);
    LoadSample sample;
    sample.at = now;
    sample.num_requests = load.num_in_flight + static_cast<double>(load.num_queued);
    sample.last_request = load.last_request_at;
    sample.wait = std::chrono::milliseconds(load.wait_ms);
    sample.num_ready = serving.num_ready;
    if (serving.num_ready > 0) sample.kv_usage = serving.kv_usage / serving.num_ready;
    const ScaleDecision decision =
        entry->second.decide(policy_of(endpoint), endpoint.autoscaling, sample);
    note_activity_of(endpoint, entry->second.last_request());
    if (stop_when_idle(endpoint, now) || decision.num_replicas == endpoint.target_replicas) return;
    const Status written = set_target_replicas(store_, endpoint.id, decision.num_replicas);
    if (!written) {
        log_.error("scaling_failed",
                   {{"endpoint", endpoint.id.value()}, {"error", written.error().message}});
        return;
    }
    pass_failpoint(Failpoint::kTargetWritten);
    log_.info("endpoint_scaled", {{"endpoint", endpoint.id.value()},
                                  {"from", endpoint.target_replicas},
                                  {"to", decision.num_replicas},
                                  {"requests", sample.num_requests},
                                  {"ready", sample.num_ready},
                                  {"reason", decision.reason}});
    const bool is_up = decision.num_replicas > endpoint.target_replicas;
    metrics_.note_decision(is_up ? ScaleDirection::kUp : ScaleDirection::kDown);
    endpoint.target_replicas = decision.num_replicas;
}

void Scaling::note_activity_of(Endpoint& endpoint, WallTime last_request) {
    if (last_request - endpoint.last_active_at < kActivityPeriod) return;
    const Status written = note_activity(store_, endpoint.id, last_request);
    if (!written)
        log_.error("scaling_failed",
                   {{"endpoint", endpoint.id.value()}, {"error", written.error().message}});
    endpoint.last_active_at = last_request;
}

// Of endpoints that never scale to none.
bool Scaling::stop_when_idle(Endpoint& endpoint, WallTime now) {
    const auto timeout = std::chrono::minutes(endpoint.inactive_timeout_minutes);
    const auto scaler = scalers_.find(endpoint.id);
    if (timeout.count() == 0 || endpoint.autoscaling.min_replicas == 0) return false;
    const WallTime last = std::max(endpoint.last_active_at, scaler->second.last_request());
    if (now - last < timeout) return false;
    EndpointChange change;
    change.desired = DesiredState::kStopped;
    change.stop_reason =
        "no request for " + std::to_string(endpoint.inactive_timeout_minutes) + " minutes";
    const auto changed = update_endpoint(store_, endpoint.id, change, kActor, now);
    if (!changed) {
        log_.error("scaling_failed",
                   {{"endpoint", endpoint.id.value()}, {"error", changed.error().message}});
        return false;
    }
    log_.info("endpoint_stopped",
              {{"endpoint", endpoint.id.value()}, {"reason", *change.stop_reason}});
    metrics_.note_decision(ScaleDirection::kStop);
    endpoint = *changed;
    return true;
}

}  // namespace turnpike::controlplane
