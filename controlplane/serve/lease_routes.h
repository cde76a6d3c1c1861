// POST /internal/v1/leases for gateways; see ops/docs/formats/leases.md.
#pragma once

#include "config/base/clock.h"
#include "controlplane/serve/router.h"
#include "controlplane/store/leases.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// All arguments but `terms` outlive the router.
void add_lease_routes(Router& internal, Store& store, const LeaseTerms& terms, const Clock& clock);

}  // namespace turnpike::controlplane
