// Endpoints and replicas as every process sees them. A serverless pool is an endpoint whose owner
// is the platform; a dedicated endpoint belongs to one organisation.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/result.h"

namespace turnpike::controlplane {

enum class EndpointType { kServerless, kDedicated };
enum class DesiredState { kStarted, kStopped };
// PENDING -> STARTING -> STARTED -> STOPPING -> STOPPED, or ERROR; see
// ops/docs/formats/endpoints.md.
enum class EndpointState { kPending, kStarting, kStarted, kStopping, kStopped, kError };
enum class ReplicaState {
    kPending,
    kPlaced,
    kStarting,
    kLoading,
    kReady,
    kDraining,
    kStopped,
    kFailed
};

struct Autoscaling {
    int min_replicas = 1;
    int max_replicas = 1;
};

struct Endpoint {
    EndpointId id;
    std::string name;  // what clients put into `model`
    std::string display_name;
    std::string model;     // a model card's id
    std::string hardware;  // a row of the hardware catalogue: "1x_cpu"
    EndpointType type = EndpointType::kDedicated;
    OrgId owner;  // the platform's organisation for serverless pools
    DesiredState desired = DesiredState::kStarted;
    EndpointState state = EndpointState::kPending;
    std::string reason;                    // of kError, and of kStopped when we stopped it
    std::string stop_reason;               // set by us, until it is started again
    std::optional<WallTime> unpaid_since;  // its owner has no credit for a minute of it
    Autoscaling autoscaling;
    int target_replicas = 0;  // what the autoscaler wants; the bounds count first
    // Without a request for so long it is stopped; from one replica to none, where min_replicas is
    // 0. 0 = never, or the settings' time.
    std::int64_t inactive_timeout_minutes = 0;
    // Its replicas start without drafts, whatever the settings say of the model.
    bool disable_speculative_decoding = false;
    std::int64_t generation = 1;  // grows with every change
    std::int64_t rollout = 1;     // grows with every change of what its replicas run
    WallTime created_at;
    WallTime last_active_at;  // when a request was last in hand, within a minute
    bool is_deleted = false;
};

struct Replica {
    ReplicaId id;  // also the name that a driver knows it by
    EndpointId endpoint;
    int index = 0;
    std::int64_t generation = 1;  // the endpoint's rollout that it was started for
    Epoch epoch;                  // grows with every start
    ReplicaState state = ReplicaState::kPending;
    std::string address;   // "unix:/..." as net::parse_address reads it
    std::string reason;    // of kFailed: exit status and last log line
    int num_failures = 0;  // consecutive; drives the backoff
    WallTime state_since;
};

struct Hardware {
    std::string id;  // "1x_cpu", "8x_nvidia_h200_140gb_sxm"
    std::string gpu_type;
    std::string gpu_link;
    int gpu_memory_gb = 0;
    int gpu_count = 0;
    std::int64_t cents_per_minute = 0;
    bool is_available = false;
};

std::string_view to_string(EndpointType type);
std::string_view to_string(DesiredState state);
std::string_view to_string(EndpointState state);  // "STARTED"
std::string_view to_string(ReplicaState state);   // "READY"
Result<EndpointType> parse_endpoint_type(std::string_view text);
Result<DesiredState> parse_desired_state(std::string_view text);
Result<EndpointState> parse_endpoint_state(std::string_view text);
Result<ReplicaState> parse_replica_state(std::string_view text);

}  // namespace turnpike::controlplane
