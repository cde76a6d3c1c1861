// reconcile: what must be done so that the replicas become what the endpoints want. Pure: nothing
// is performed and nothing is remembered, so a pass after any crash starts from the store and the
// world alone. States and edges: ops/docs/formats/endpoints.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "controlplane/api/endpoint.h"

namespace turnpike::controlplane {

// What the platform owner wants, and what there is to put it on.
struct HardwareSlots {
    std::string hardware;  // a row of the catalogue
    int num_slots = 0;     // replicas that fit
};

struct Desired {
    std::vector<Endpoint> endpoints;  // deleted ones too while replicas of theirs remain
    std::vector<HardwareSlots> hardware;
    bool is_parked = false;  // every replica is drained, whatever is wanted
};

// How a process answers GET /health; kNone: it does not.
enum class Answer { kNone, kLoading, kReady, kDraining, kFailed };

// How far a driver has come with a process that it was asked for.
enum class Phase {
    kQueued,  // it waits for a place
    kPlaced,  // it has one, and does not run yet
    kRunning,
};

// A process as its driver sees it.
struct ObservedProcess {
    ReplicaId id;
    Epoch epoch;              // that it was started with
    bool is_running = false;  // asked for and not ended: it may wait for its place
    Phase phase = Phase::kRunning;
    std::string wait_reason;  // of kQueued: why
    std::string address;      // where it listens; empty while that is not known
    std::int64_t pid = 0;     // 0 when there is none
    std::string exit_reason;  // of a process that ended: "exit status 1", "signal 9", "gone"
    std::string last_log;     // its last log lines
    Answer answer = Answer::kNone;
    std::string answer_reason;  // of kFailed
    double kv_usage = 0.0;      // of kReady: the share of its key-value cache
};

struct Observed {
    std::vector<Replica> replicas;           // rows of the store
    std::vector<ObservedProcess> processes;  // at most one per id
};

struct StartReplica {
    ReplicaId id;
    EndpointId endpoint;
    int index = 0;
    std::int64_t generation = 1;
};

// Takes it from gateways and asks the process to finish what it has.
struct DrainReplica {
    ReplicaId id;
    Epoch epoch;
    std::string reason;
};

// Ends the process at once; its row follows in the next pass.
struct KillReplica {
    ReplicaId id;
    EndpointId endpoint;  // empty for a process that nobody knows
    std::string reason;
};

struct MarkReplica {
    ReplicaId id;
    Epoch epoch;
    ReplicaState state = ReplicaState::kPending;
    std::string reason;
    std::optional<int> num_failures = std::nullopt;  // unset: as it is
    std::string address = {};                        // where it listens; empty: as it is
};

struct ForgetReplica {
    ReplicaId id;
};

struct MarkEndpoint {
    EndpointId id;
    EndpointState state = EndpointState::kPending;
    std::string reason;
};

using Action =
    std::variant<StartReplica, DrainReplica, KillReplica, MarkReplica, ForgetReplica, MarkEndpoint>;

struct Plan {
    std::vector<Action> actions;  // at most limits::kMaxActionsPerPass, in this order
    // Something is on its way (a start, a drain, a backoff): look again soon.
    bool is_settling = false;
};

// An engine that does not answer for this long is killed. Its socket opens before weights load.
inline constexpr auto kAnswerTimeout = std::chrono::minutes(2);
// 23K tokens at 50 tokens/s are 460 s; twice that is generous.
inline constexpr auto kDrainTimeout = std::chrono::minutes(15);
// From being taken from gateways to being asked to end: every gateway has heard of it by then.
inline constexpr auto kLeaveTime = std::chrono::seconds(1);
inline constexpr auto kMinBackoff = std::chrono::seconds(1);
inline constexpr auto kMaxBackoff = std::chrono::seconds(60);
// READY for this long proves a start: the next failure counts as the first.
inline constexpr auto kProvenAfter = std::chrono::seconds(60);
// So many failures in a row show as ERROR; the replica is tried again all the same.
inline constexpr int kErrorAfterFailures = 5;

Plan reconcile(const Desired& desired, const Observed& observed, WallTime now);

// 1 s, doubling to 60 s. `num_failures` >= 1.
std::chrono::seconds backoff_after(int num_failures);

// "<12 hex of the endpoint's id>-<generation>-<index>": short, because a socket path must be.
// The generation is the endpoint's rollout: what a replica runs. Old and new replicas of a rolling
// update stand side by side; within a rollout a replica keeps its directory, lock and meter file.
ReplicaId replica_id_of(const EndpointId& endpoint, std::int64_t generation, int index);

// Whether an endpoint may go from one state to the other (staying is no edge).
bool is_edge(EndpointState from, EndpointState to);
// The state to show next on the way to `to`; itself when there is an edge.
EndpointState step_towards(EndpointState from, EndpointState to);

}  // namespace turnpike::controlplane
