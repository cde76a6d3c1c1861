#include "controlplane/plan/reconcile.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "config/base/limits.h"

namespace turnpike::controlplane {
namespace {

// A row with its process, either of which may be missing.
struct Seen {
    const Replica* row = nullptr;
    const ObservedProcess* process = nullptr;

    bool is_running() const { return process != nullptr && process->is_running; }
};

bool holds_slot(ReplicaState state) {
    switch (state) {
        case ReplicaState::kPending:
        case ReplicaState::kPlaced:
        case ReplicaState::kStarting:
        case ReplicaState::kLoading:
        case ReplicaState::kReady:
        case ReplicaState::kDraining:
            return true;
        case ReplicaState::kStopped:
        case ReplicaState::kFailed:
            return false;
    }
    return false;
}

bool is_live(const Seen& seen) {
    return seen.is_running() || (seen.row != nullptr && holds_slot(seen.row->state));
}

std::string why_ended(const ObservedProcess* process) {
    if (process == nullptr) return "gone";
    std::string reason = process->exit_reason.empty() ? "gone" : process->exit_reason;
    if (!process->last_log.empty()) reason += "; last log: " + process->last_log;
    return reason;
}

int failures_after(const Replica& row, WallTime now) {
    const bool is_proven =
        row.state == ReplicaState::kReady && now - row.state_since >= kProvenAfter;
    return is_proven ? 1 : row.num_failures + 1;
}

class Reconciler {
  public:
    Reconciler(const Desired& desired, const Observed& observed, WallTime now)
        : desired_(desired), now_(now) {
        for (const Replica& row : observed.replicas) seen_[row.id].row = &row;
        for (const ObservedProcess& process : observed.processes)
            seen_[process.id].process = &process;
        for (const Endpoint& endpoint : desired.endpoints) endpoints_[endpoint.id] = &endpoint;
        for (const HardwareSlots& slots : desired.hardware)
            free_slots_[slots.hardware] += slots.num_slots;
    }

    Plan compute() {
        take_slots();
        for (const Endpoint& endpoint : desired_.endpoints) keep_old(endpoint);
        for (const auto& [id, seen] : seen_) settle(id, seen);
        for (const Endpoint& endpoint : desired_.endpoints) start_missing(endpoint);
        for (const Endpoint& endpoint : desired_.endpoints) mark(endpoint);
        if (plan_.actions.size() > limits::kMaxActionsPerPass) {
            plan_.actions.resize(limits::kMaxActionsPerPass);
            plan_.is_settling = true;
        }
        return std::move(plan_);
    }

  private:
    bool is_wanted(const Endpoint& endpoint) const {
        return endpoint.desired == DesiredState::kStarted && !endpoint.is_deleted &&
               !desired_.is_parked;
    }

    int target(const Endpoint& endpoint) const {
        if (!is_wanted(endpoint)) return 0;
        const int most =
            std::clamp(endpoint.autoscaling.max_replicas, 0, limits::kMaxReplicasPerEndpoint);
        const int least = std::clamp(endpoint.autoscaling.min_replicas, 0, most);
        return std::clamp(endpoint.target_replicas, least, most);
    }

    const Endpoint* endpoint_of(const Replica& row) const {
        const auto found = endpoints_.find(row.endpoint);
        return found == endpoints_.end() ? nullptr : found->second;
    }

    static bool is_current(const Endpoint& endpoint, const Replica& row) {
        return row.generation == endpoint.rollout;
    }

    bool is_wanted(const Replica& row) const {
        if (old_kept_.contains(row.id)) return true;
        const Endpoint* endpoint = endpoint_of(row);
        return endpoint != nullptr && is_current(*endpoint, row) && row.index < target(*endpoint);
    }

    // Live replicas and failed ones that are wanted keep their slots, so that nobody takes the
    // place of a replica that waits for its next try.
    void take_slots() {
        for (const auto& [id, seen] : seen_) {
            if (seen.row == nullptr) continue;
            const Endpoint* endpoint = endpoint_of(*seen.row);
            if (endpoint == nullptr) continue;
            rows_of_[endpoint->id].push_back(seen);
            if (is_live(seen)) ++num_live_[endpoint->id];
            if (!is_live(seen) && seen.row->state == ReplicaState::kFailed && is_wanted(*seen.row))
                kept_.insert(id);
            if (is_live(seen) || kept_.contains(id)) --free_slots_[endpoint->hardware];
        }
    }

    // A rolling update: replicas of an earlier rollout serve on until as many new ones do. One is
    // started over the wanted number, then one is drained for each that is READY. Where no slot is
    // free for it and others serve, one is drained first.
    void keep_old(const Endpoint& endpoint) {
        std::vector<const Replica*> old;
        int num_new_ready = 0;
        int num_new_held = 0;  // live, or waiting for the next try
        for (const Seen& seen : rows_of_[endpoint.id]) {
            if (kept_.contains(seen.row->id)) ++num_new_held;
            if (!is_live(seen)) continue;
            const bool serves = seen.row->state == ReplicaState::kReady && seen.is_running();
            if (!is_current(endpoint, *seen.row)) {
                ++num_old_live_[endpoint.id];
                if (serves) old.push_back(seen.row);
            } else if (seen.row->index < target(endpoint)) {
                ++num_new_held;
                num_new_ready += serves ? 1 : 0;
            }
        }
        int num_kept = target(endpoint) - num_new_ready;
        // A surge that is there, or one that ends, makes room by itself.
        const bool has_no_room = free_slots_[endpoint.hardware] <= 0 &&
                                 num_new_held == num_new_ready &&
                                 num_live_[endpoint.id] <= target(endpoint);
        if (has_no_room && num_kept > 0 && target(endpoint) > 1) --num_kept;
        std::sort(old.begin(), old.end(), [](const Replica* a, const Replica* b) {
            return std::pair(a->index, -a->generation) < std::pair(b->index, -b->generation);
        });
        for (const Replica* row : old) {
            if (num_kept-- > 0) old_kept_.insert(row->id);
        }
    }

    void settle(const ReplicaId& id, const Seen& seen) {
        if (seen.row == nullptr) {
            if (seen.is_running()) kill(id, EndpointId(), "no replica of this name is known");
            return;
        }
        if (!seen.is_running()) return settle_ended(*seen.row, seen.process);
        if (seen.process->epoch != seen.row->epoch)
            return kill(id, seen.row->endpoint,
                        "runs epoch " + std::to_string(seen.process->epoch.value()) + " where " +
                            std::to_string(seen.row->epoch.value()) + " is expected");
        if (seen.row->state == ReplicaState::kDraining)
            return settle_draining(*seen.row, *seen.process);
        if (!is_wanted(*seen.row)) return leave(*seen.row);
        settle_running(*seen.row, *seen.process);
    }

    // No process: the row says so, and a deleted endpoint's row goes.
    void settle_ended(const Replica& row, const ObservedProcess* process) {
        const bool wanted = is_wanted(row);
        if (row.state == ReplicaState::kDraining || (holds_slot(row.state) && !wanted))
            return mark_replica(row, ReplicaState::kStopped, "", 0);
        if (holds_slot(row.state))
            return mark_replica(row, ReplicaState::kFailed, why_ended(process),
                                failures_after(row, now_));
        if (row.state == ReplicaState::kFailed && !wanted)
            return mark_replica(row, ReplicaState::kStopped, "", 0);
        const Endpoint* endpoint = endpoint_of(row);
        if (endpoint == nullptr || endpoint->is_deleted || !is_current(*endpoint, row))
            plan_.actions.emplace_back(ForgetReplica{row.id});
    }

    void settle_draining(const Replica& row, const ObservedProcess& process) {
        plan_.is_settling = true;
        if (now_ - row.state_since >= kDrainTimeout)
            return kill(row.id, row.endpoint, "still draining after its time");
        if (process.answer == Answer::kFailed)
            return kill(row.id, row.endpoint, "reports failure: " + process.answer_reason);
        // It was not told yet, or we crashed between the row and the signal.
        const bool is_untold =
            process.answer == Answer::kReady || process.answer == Answer::kLoading;
        if (is_untold && (desired_.is_parked || now_ - row.state_since >= kLeaveTime))
            drain(row, row.reason);
    }

    void settle_running(const Replica& row, const ObservedProcess& process) {
        switch (process.answer) {
            case Answer::kReady:
                return mark_replica(row, ReplicaState::kReady, "", std::nullopt, process.address);
            case Answer::kLoading:
                plan_.is_settling = true;
                return mark_replica(row, ReplicaState::kLoading, "");
            case Answer::kDraining:
                plan_.is_settling = true;
                return mark_replica(row, ReplicaState::kDraining, "asked to end by somebody else");
            case Answer::kFailed:
                return kill(row.id, row.endpoint, "reports failure: " + process.answer_reason);
            case Answer::kNone:
                return settle_silent(row, process);
        }
    }

    // STARTING stands for "a process that does not answer", so state_since tells for how long.
    void settle_silent(const Replica& row, const ObservedProcess& process) {
        // It may wait for hours: nothing to look at every moment.
        if (process.phase == Phase::kQueued)
            return mark_replica(row, ReplicaState::kPending, process.wait_reason);
        plan_.is_settling = true;
        if (process.phase == Phase::kPlaced) return mark_replica(row, ReplicaState::kPlaced, "");
        const bool is_new =
            row.state == ReplicaState::kPending || row.state == ReplicaState::kPlaced;
        if (row.state != ReplicaState::kStarting)
            return mark_replica(row, ReplicaState::kStarting, is_new ? "" : "does not answer");
        if (now_ - row.state_since >= kAnswerTimeout) kill(row.id, row.endpoint, "does not answer");
    }

    void start_missing(const Endpoint& endpoint) {
        const int wanted = target(endpoint);
        // The surge of a rolling update, over the maximum as well.
        const int surge = num_old_live_[endpoint.id] > 0 ? 1 : 0;
        for (int index = 0; index < wanted; ++index) {
            const ReplicaId id = replica_id_of(endpoint.id, endpoint.rollout, index);
            const auto found = seen_.find(id);
            if (found != seen_.end() && !may_start(found->second)) continue;
            const int most = surge > 0 ? wanted + surge : endpoint.autoscaling.max_replicas;
            if (num_live_[endpoint.id] >= most) return;
            const bool has_slot = kept_.contains(id);
            if (!has_slot && free_slots_[endpoint.hardware] <= 0) {
                // A later one may hold a slot since its last try.
                no_slot_.insert(endpoint.id);
                continue;
            }
            if (!has_slot) --free_slots_[endpoint.hardware];
            ++num_live_[endpoint.id];
            plan_.actions.emplace_back(StartReplica{id, endpoint.id, index, endpoint.rollout});
            plan_.is_settling = true;
        }
    }

    bool may_start(const Seen& seen) {
        if (is_live(seen)) return false;
        if (seen.row == nullptr || seen.row->state != ReplicaState::kFailed) return true;
        const auto wait = backoff_after(std::max(1, seen.row->num_failures));
        if (now_ - seen.row->state_since >= wait) return true;
        plan_.is_settling = true;
        return false;
    }

    struct Tally {
        int num_ready = 0;
        int num_present = 0;  // live, or waiting for the next try
        int num_queued = 0;   // of them, waiting for a place
        std::string wait_reason;
        const Replica* worst = nullptr;
    };

    Tally tally(const Endpoint& endpoint) const {
        Tally tally;
        const auto rows = rows_of_.find(endpoint.id);
        if (rows == rows_of_.end()) return tally;
        for (const Seen& seen : rows->second) {
            const bool serves = seen.row->state == ReplicaState::kReady && seen.is_running();
            tally.num_ready += serves && is_wanted(*seen.row) ? 1 : 0;
            tally.num_present += is_live(seen) || kept_.contains(seen.row->id) ? 1 : 0;
            if (seen.is_running() && seen.process->phase == Phase::kQueued) {
                ++tally.num_queued;
                tally.wait_reason = seen.process->wait_reason;
            }
            if (seen.row->num_failures >= kErrorAfterFailures && is_wanted(*seen.row))
                tally.worst = seen.row;
        }
        return tally;
    }

    // The endpoint's state follows from its rows as they were when the pass began.
    void mark(const Endpoint& endpoint) {
        const Tally found = tally(endpoint);
        EndpointState state = EndpointState::kStarting;
        std::string reason;
        if (is_wanted(endpoint) && target(endpoint) == 0) {
            // Scaled to none: the next request gets it a replica.
            state = EndpointState::kStarted;
        } else if (target(endpoint) == 0) {
            state = found.num_present > 0 ? EndpointState::kStopping : EndpointState::kStopped;
            reason = endpoint.stop_reason;
        } else if (found.num_ready > 0) {
            state = EndpointState::kStarted;
            if (no_slot_.contains(endpoint.id) && num_old_live_[endpoint.id] > 0)
                reason = "its update waits for a free slot on " + endpoint.hardware;
        } else if (found.worst != nullptr) {
            state = EndpointState::kError;
            reason = found.worst->reason;
            // A new try clears the row's reason; the endpoint keeps the last one.
            if (reason.empty()) reason = endpoint.reason;
        } else if (found.num_present == found.num_queued) {
            state = EndpointState::kPending;
            if (!found.wait_reason.empty()) reason = "waits for " + found.wait_reason;
            if (no_slot_.contains(endpoint.id))
                reason = "waits for a free slot on " + endpoint.hardware;
        }
        const EndpointState next = step_towards(endpoint.state, state);
        if (next != state) reason.clear();
        if (next != state) plan_.is_settling = true;
        if (next == endpoint.state && reason == endpoint.reason) return;
        plan_.actions.emplace_back(MarkEndpoint{endpoint.id, next, reason});
    }

    void kill(const ReplicaId& id, const EndpointId& endpoint, std::string reason) {
        plan_.is_settling = true;
        plan_.actions.emplace_back(KillReplica{id, endpoint, std::move(reason)});
    }

    // Gateways may still send requests to one that was READY, until they hear otherwise.
    void leave(const Replica& row) {
        const char* const reason = "no longer wanted";
        if (row.state == ReplicaState::kReady && !desired_.is_parked)
            return mark_replica(row, ReplicaState::kDraining, reason);
        drain(row, reason);
    }

    void drain(const Replica& row, std::string reason) {
        plan_.is_settling = true;
        plan_.actions.emplace_back(DrainReplica{row.id, row.epoch, std::move(reason)});
    }

    void mark_replica(const Replica& row,
                      ReplicaState state,
                      std::string reason,
                      std::optional<int> num_failures = std::nullopt,
                      const std::string& address = {}) {
        const bool has_moved = !address.empty() && address != row.address;
        if (row.state == state && row.reason == reason && !has_moved) return;
        const bool is_final = state == ReplicaState::kReady || state == ReplicaState::kPending;
        plan_.is_settling = plan_.is_settling || !is_final;
        plan_.actions.emplace_back(MarkReplica{row.id, row.epoch, state, std::move(reason),
                                               num_failures, has_moved ? address : std::string()});
    }

    const Desired& desired_;
    const WallTime now_;
    std::map<ReplicaId, Seen> seen_;
    std::map<EndpointId, std::vector<Seen>> rows_of_;
    std::map<EndpointId, const Endpoint*> endpoints_;
    std::map<std::string, int> free_slots_;
    std::map<EndpointId, int> num_live_;
    std::map<EndpointId, int> num_old_live_;  // of them, of an earlier rollout
    std::set<ReplicaId> old_kept_;
    std::set<ReplicaId> kept_;
    std::set<EndpointId> no_slot_;
    Plan plan_;
};

}  // namespace

Plan reconcile(const Desired& desired, const Observed& observed, WallTime now) {
    return Reconciler(desired, observed, now).compute();
}

std::chrono::seconds backoff_after(int num_failures) {
    // 2^6 s is already over the most; the bound keeps the shift small.
    const int doublings = std::clamp(num_failures - 1, 0, 6);
    return std::min<std::chrono::seconds>(kMinBackoff * (1 << doublings), kMaxBackoff);
}

ReplicaId replica_id_of(const EndpointId& endpoint, std::int64_t generation, int index) {
    constexpr std::string_view kPrefix = "endpoint-";
    std::string_view uuid = endpoint.value();
    if (uuid.starts_with(kPrefix)) uuid.remove_prefix(kPrefix.size());
    std::string slug;
    for (const char c : uuid) {
        if (c != '-' && slug.size() < 12) slug += c;
    }
    return ReplicaId(slug + "-" + std::to_string(generation) + "-" + std::to_string(index));
}

}  // namespace turnpike::controlplane
