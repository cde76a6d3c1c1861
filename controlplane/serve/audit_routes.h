// The operator's routes on the admin socket for the audit; see ops/docs/formats/audit.md.
#pragma once

#include "controlplane/serve/router.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// GET /admin/v1/audit and /admin/v1/audit/verify. `store` outlives the router.
void add_audit_routes(Router& admin, const Store& store);

}  // namespace turnpike::controlplane
