// Driver: how replicas are started, stopped and found. Everything else about a replica is seen
// through its engine's own HTTP routes.
#pragma once

#include <string>
#include <vector>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "controlplane/plan/reconcile.h"

namespace turnpike::controlplane {

struct ReplicaSpec {
    ReplicaId id;
    Epoch epoch;
    std::string card;       // path of the model card's file
    std::string model_dir;  // the checkpoint
    int speculative_tokens = 0;
    std::string hardware = {};  // a row of the catalogue
};

enum class StopHow {
    kDrain,  // finish what is in progress, then end
    kKill,   // end now
};

class Driver {
  public:
    virtual ~Driver() = default;
    // Where the replica of that name listens, empty when that is known once it does (list() tells);
    // kInvalidArgument when no such address can exist.
    virtual Result<std::string> address_of(const ReplicaId& id) const = 0;
    // Returns once the process exists, or waits for its place. Nothing happens when it runs with
    // this epoch already; kConflict when it runs with another one.
    virtual Status start(const ReplicaSpec& spec) = 0;
    // No error when there is no such process.
    virtual Status stop(const ReplicaId& id, StopHow how) = 0;
    // Every process that runs or waits, and those that ended as far as they are known; `answer` is
    // not filled in.
    virtual Result<std::vector<ObservedProcess>> list() = 0;
};

}  // namespace turnpike::controlplane
