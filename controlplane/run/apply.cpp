#include "controlplane/run/apply.h"

#include <utility>

#include "config/base/failpoint.h"
#include "controlplane/store/endpoints.h"
#include "controlplane/store/replicas.h"

namespace turnpike::controlplane {
namespace {

Step step_of(const EndpointId& endpoint, const ReplicaId& replica, std::string action) {
    Step step;
    step.endpoint = endpoint;
    step.replica = replica.value();
    step.action = std::move(action);
    return step;
}

// Writes the step, performs it, writes how it ended. A refusal is the step's outcome as well.
template <class Perform>
Status as_step(const ApplyTo& to, const Step& step, Perform perform) {
    const Result<std::int64_t> id = begin_step(to.store, step, to.clock.wall_now());
    if (!id) return id.error();
    pass_failpoint(Failpoint::kStepBegun);
    const Status done = perform();
    pass_failpoint(Failpoint::kStepDone);
    const std::string outcome = done ? "done" : done.error().message;
    RETURN_IF_ERROR(finish_step(to.store, *id, outcome, to.clock.wall_now()));
    return done;
}

Result<Replica> find_row(const ApplyTo& to, const ReplicaId& id) {
    const Result<std::vector<Replica>> rows = list_replicas(to.store, std::nullopt);
    if (!rows) return rows.error();
    for (const Replica& row : *rows) {
        if (row.id == id) return row;
    }
    return Error{ErrorCode::kNotFound, "no replica " + id.value(), {}};
}

Status start_process(const ApplyTo& to, const Replica& row, const Endpoint& endpoint) {
    const auto served = to.models.find(endpoint.model);
    if (served == to.models.end())
        return Error{ErrorCode::kNotFound,
                     "the settings name no checkpoint for model " + endpoint.model,
                     {}};
    const ServedModel& from = served->second;
    const int num_drafts = endpoint.disable_speculative_decoding ? 0 : from.speculative_tokens;
    return to.driver.start(ReplicaSpec{row.id, row.epoch, from.card_file, from.model_dir,
                                       num_drafts, endpoint.hardware});
}

Status perform(const ApplyTo& to, const StartReplica& action) {
    const Result<Endpoint> endpoint = find_endpoint(to.store, action.endpoint);
    if (!endpoint) return endpoint.error();
    const Step step = step_of(action.endpoint, action.id, "start");
    const Result<std::string> address = to.driver.address_of(action.id);
    // Without an address the row still exists, so that people can read why nothing starts.
    const ReplicaStart start{action.id, action.endpoint, action.index, action.generation,
                             address ? *address : std::string()};
    return as_step(to, step, [&]() -> Status {
        const Result<Replica> row = begin_replica_start(to.store, start, to.clock.wall_now());
        if (!row) return row.error();
        pass_failpoint(Failpoint::kReplicaWritten);
        to.log.info("replica_started", {{"replica", row->id.value()},
                                        {"epoch", row->epoch.value()},
                                        {"endpoint", endpoint->name}});
        const Status started =
            address ? start_process(to, *row, *endpoint) : Status(address.error());
        if (started) return {};
        RETURN_IF_ERROR(set_replica_state(to.store,
                                          ReplicaChange{row->id,
                                                        row->epoch,
                                                        ReplicaState::kFailed,
                                                        started.error().message,
                                                        row->num_failures + 1,
                                                        {}},
                                          to.clock.wall_now()));
        return started;
    });
}

// Gateways lose it first, then the process is told.
Status perform(const ApplyTo& to, const DrainReplica& action) {
    const Result<Replica> row = find_row(to, action.id);
    if (!row) return row.error();
    return as_step(to, step_of(row->endpoint, action.id, "drain"), [&]() -> Status {
        RETURN_IF_ERROR(set_replica_state(
            to.store,
            ReplicaChange{action.id, action.epoch, ReplicaState::kDraining, action.reason, {}, {}},
            to.clock.wall_now()));
        pass_failpoint(Failpoint::kDrainWritten);
        to.log.info("replica_drained", {{"replica", action.id.value()}, {"reason", action.reason}});
        return to.driver.stop(action.id, StopHow::kDrain);
    });
}

Status perform(const ApplyTo& to, const KillReplica& action) {
    to.log.warning("replica_killed", {{"replica", action.id.value()}, {"reason", action.reason}});
    // A process that nobody knows belongs to no endpoint, so no step can be written for it.
    if (action.endpoint.value().empty()) return to.driver.stop(action.id, StopHow::kKill);
    return as_step(to, step_of(action.endpoint, action.id, "kill"),
                   [&] { return to.driver.stop(action.id, StopHow::kKill); });
}

Status perform(const ApplyTo& to, const MarkReplica& action) {
    const bool is_failure = action.state == ReplicaState::kFailed;
    const std::initializer_list<LogField> fields{{"replica", action.id.value()},
                                                 {"epoch", action.epoch.value()},
                                                 {"state", to_string(action.state)},
                                                 {"reason", action.reason}};
    if (is_failure) {
        to.log.warning("replica_changed", fields);
    } else {
        to.log.info("replica_changed", fields);
    }
    RETURN_IF_ERROR(
        set_replica_state(to.store,
                          ReplicaChange{action.id, action.epoch, action.state, action.reason,
                                        action.num_failures, action.address},
                          to.clock.wall_now()));
    pass_failpoint(Failpoint::kReplicaMarked);
    return {};
}

Status perform(const ApplyTo& to, const ForgetReplica& action) {
    RETURN_IF_ERROR(forget_replica(to.store, action.id, to.clock.wall_now()));
    pass_failpoint(Failpoint::kReplicaForgotten);
    return {};
}

Status perform(const ApplyTo& to, const MarkEndpoint& action) {
    to.log.info("endpoint_changed", {{"endpoint", action.id.value()},
                                     {"state", to_string(action.state)},
                                     {"reason", action.reason}});
    RETURN_IF_ERROR(
        set_endpoint_state(to.store, action.id, action.state, action.reason, to.clock.wall_now()));
    pass_failpoint(Failpoint::kEndpointMarked);
    return {};
}

}  // namespace

Status apply(const ApplyTo& to, const Action& action) {
    return std::visit([&](const auto& one) { return perform(to, one); }, action);
}

}  // namespace turnpike::controlplane
