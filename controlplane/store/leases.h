// Leases in control.db: slices of credit and shares of limits that gateways hold. The sum of what
// is granted never passes what is there; see ops/docs/formats/leases.md.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/limits.h"
#include "config/base/result.h"
#include "controlplane/api/lease.h"

namespace turnpike::controlplane {

class Store;

struct LeaseTerms {
    // How far below zero an organisation's balance may go.
    NanoUsd overdraft;
    // As long as a gateway serves without its control plane.
    std::chrono::milliseconds lifetime = limits::kSnapshotStaleRefuse;
    // A gateway that was not seen for so long is given up: what it held is free again. Longer than
    // a gateway serves without its control plane (limits::kSnapshotStaleRefuse).
    std::chrono::milliseconds give_up = std::chrono::hours(25);
};

// Durable when it returns. kConflict: the epoch is not the gateway's last one, so another run has
// taken over (or this database is older than the gateway): begin again with epoch 0.
Result<LeaseAnswer> grant_leases(Store& store,
                                 const LeaseRequest& request,
                                 const LeaseTerms& terms,
                                 WallTime now);

}  // namespace turnpike::controlplane
