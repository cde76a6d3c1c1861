// Endpoints: what is wanted, and what state it has come to. Each change writes an operation and an
// audit row in the same transaction and wakes the store's subscribers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "controlplane/api/endpoint.h"
#include "controlplane/store/models.h"

namespace turnpike::controlplane {

class Store;

// What one organisation may have of dedicated endpoints; 0 is no bound.
struct EndpointQuota {
    int max_endpoints = 0;  // that are not deleted
    int max_replicas = 0;   // the sum of max_replicas of those that are to be STARTED
};

struct NewEndpoint {
    std::string idempotency_key;  // empty: every call creates one
    std::string actor;            // of the audit row: "operator", "settings"
    Endpoint wanted;  // state, generation and created_at are the store's to set, and an empty id
    // A dedicated endpoint publishes its own name in the same transaction. `name` and `endpoint`
    // are filled in from the endpoint.
    std::optional<ModelName> published;
    Price price;  // of the published name
    EndpointQuota quota = {};
};

// A repeated (owner, idempotency key) returns the endpoint that was made then. kConflict when the
// name is taken; kNotFound when the owner is unknown; kPermissionDenied when it is over its quota.
Result<Endpoint> create_endpoint(Store& store, const NewEndpoint& request, WallTime now);

// Deleted ones too while replicas of theirs remain, so that the loop can stop them.
Result<std::vector<Endpoint>> list_wanted_endpoints(const Store& store);
// What people see: without deleted ones, oldest first.
Result<std::vector<Endpoint>> list_endpoints(const Store& store, const std::optional<OrgId>& owner);
// kNotFound, also for a deleted one, and for another owner's when `owner` is set.
Result<Endpoint> find_endpoint(const Store& store,
                               const EndpointId& id,
                               const std::optional<OrgId>& owner = std::nullopt);

struct EndpointChange {
    std::optional<DesiredState> desired;
    std::optional<std::string> display_name;
    std::optional<Autoscaling> autoscaling;
    std::optional<std::int64_t> inactive_timeout_minutes;
    std::optional<bool> disable_speculative_decoding;
    std::optional<std::string> stop_reason;  // why we stop it; else the operator did
    bool restart = false;                    // its replicas are replaced, one by one
    EndpointQuota quota = {};
};

// Generation + 1 when anything differs, rollout + 1 when what its replicas run does; gateways are
// told. Stays as it is otherwise. Leaves ERROR
// for PENDING when it is started again. kNotFound; kPermissionDenied when it would then be over its
// owner's quota, and was not before.
Result<Endpoint> update_endpoint(Store& store,
                                 const EndpointId& id,
                                 const EndpointChange& change,
                                 const std::string& actor,
                                 WallTime now);

// What the settings say of a model's replicas, as a digest. When it is another one than at the last
// call, every endpoint of the model has its next rollout; returns how many.
Result<int> note_model_run(Store& store,
                           const std::string& model,
                           const std::string& digest,
                           const std::string& actor,
                           WallTime now);

// What the autoscaler wants. kNotFound.
Status set_target_replicas(Store& store, const EndpointId& id, int num_replicas);
// Empty: its owner pays. No error when there is no such endpoint.
Status set_unpaid_since(Store& store, const EndpointId& id, std::optional<WallTime> since);
// When a request was last in hand. No error when there is no such endpoint.
Status note_activity(Store& store, const EndpointId& id, WallTime at);

// Soft: wanted STOPPED, its names and its row are taken from gateways. kNotFound.
Status delete_endpoint(Store& store, const EndpointId& id, const std::string& actor, WallTime now);

// What the loop found. STARTED, STOPPED and ERROR end the endpoint's open operations.
Status set_endpoint_state(Store& store,
                          const EndpointId& id,
                          EndpointState state,
                          const std::string& reason,
                          WallTime now);

struct Operation {
    std::int64_t id = 0;
    EndpointId endpoint;
    std::string kind;  // "create", "update", "delete"
    std::int64_t generation = 0;
    std::string actor;
    WallTime created_at;
    std::optional<WallTime> finished_at;
};

// Newest first.
Result<std::vector<Operation>> list_operations(const Store& store, const EndpointId& endpoint);

}  // namespace turnpike::controlplane
