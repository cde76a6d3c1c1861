// POST /internal/v1/leases for gateways, and the operator's routes for limits; see
// ops/docs/formats/{leases,limits}.md.
#pragma once

#include "config/base/clock.h"
#include "controlplane/serve/router.h"
#include "controlplane/store/leases.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// All arguments but `terms` outlive the router.
void add_lease_routes(Router& internal, Store& store, const LeaseTerms& terms, const Clock& clock);
// GET and PUT /admin/v1/limits?subject=.
void add_limit_routes(Router& admin, Store& store, const Clock& clock);

}  // namespace turnpike::controlplane
