// POST /internal/v1/leases for gateways; see ops/docs/formats/leases.md.
#pragma once

#include "config/base/clock.h"
#include "config/base/metrics.h"
#include "controlplane/serve/router.h"
#include "controlplane/store/leases.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

struct LeaseMetrics {
    Counter granted;  // all that was asked for, of one subject
    Counter cut;      // less than that
    Counter refused;  // whole requests: of an earlier run of the gateway, or no request at all
};

// All arguments but `terms` outlive the router.
void add_lease_routes(Router& internal,
                      Store& store,
                      const LeaseTerms& terms,
                      LeaseMetrics& metrics,
                      const Clock& clock);

}  // namespace turnpike::controlplane
