#include "gateway/policy/settlement.h"

namespace turnpike::gateway {

using controlplane::Outcome;

namespace {

Outcome outcome_of(const ReplyFacts& facts) {
    // The engine ends the body after a cancellation; a connection that breaks instead is a crash of
    // ours. Waiting no longer proves nothing against the client's own doing.
    const bool engine_died = !facts.has_ended && !facts.is_complete && !facts.is_cut_off;
    if (facts.is_client_gone) return engine_died ? Outcome::kReplicaFailed : Outcome::kClientGone;
    if (facts.is_exhausted && !facts.has_error)
        return engine_died ? Outcome::kReplicaFailed : Outcome::kCompleted;
    if (facts.is_complete && facts.meter && !facts.is_cut_off) return Outcome::kCompleted;
    // An engine cancels a reader that lets its backlog grow, and then ends the body properly.
    const bool was_cancelled = facts.has_ended && !facts.has_error && !facts.is_cut_off;
    return was_cancelled && facts.was_client_slow ? Outcome::kClientGone : Outcome::kReplicaFailed;
}

}  // namespace

Settlement settle(const ReplyFacts& facts) {
    Settlement settlement;
    settlement.outcome = outcome_of(facts);
    // A meter line is the bill only when nothing can have followed it.
    const bool is_last_line = facts.is_complete || facts.has_ended;
    if (facts.meter && is_last_line) {
        settlement.usage = *facts.meter;
    } else {
        settlement.needs_meter = true;
    }
    return settlement;
}

}  // namespace turnpike::gateway
