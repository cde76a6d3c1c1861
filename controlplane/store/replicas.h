// Replicas and the steps by which they come and go. A replica's epoch grows in the store, durably,
// before it is started; READY replicas are published with their endpoint in the same transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/result.h"
#include "controlplane/api/endpoint.h"

namespace turnpike::controlplane {

class Store;

// By id; of one endpoint, or of all. Forgotten ones are left out.
Result<std::vector<Replica>> list_replicas(const Store& store,
                                           const std::optional<EndpointId>& endpoint);

struct ReplicaStart {
    ReplicaId id;
    EndpointId endpoint;
    int index = 0;
    std::int64_t generation = 1;
    std::string address;
};

// Inserts the row with epoch 1, or gives the row of that id its next epoch (a forgotten one too, so
// epochs never repeat), in state PENDING. Failures so far are kept. kNotFound: no such endpoint.
Result<Replica> begin_replica_start(Store& store, const ReplicaStart& start, WallTime now);

struct ReplicaChange {
    ReplicaId id;
    Epoch epoch;  // the one that was observed
    ReplicaState state = ReplicaState::kPending;
    std::string reason;
    std::optional<int> num_failures = std::nullopt;  // unset: as it is
    std::string address = {};                        // empty: as it is
};

// state_since moves only when the state differs. kConflict when the row has another epoch,
// kNotFound when there is no row.
Status set_replica_state(Store& store, const ReplicaChange& change, WallTime now);

// The row is kept, for its epoch, but no longer listed. No error when there is none.
Status forget_replica(Store& store, const ReplicaId& id, WallTime now);

// What the loop is about to do: written before it is done, ended afterwards.
struct Step {
    std::int64_t id = 0;
    EndpointId endpoint;
    std::string replica;  // may be empty
    std::string action;   // "start", "drain", "stop", ...
    WallTime started_at;
    std::optional<WallTime> finished_at;
    std::string outcome;  // "done", or the error
};

Result<std::int64_t> begin_step(Store& store, const Step& step, WallTime now);
Status finish_step(Store& store, std::int64_t id, const std::string& outcome, WallTime now);
// Begun and not finished: what a crash interrupted. Oldest first.
Result<std::vector<Step>> list_open_steps(const Store& store);

}  // namespace turnpike::controlplane
