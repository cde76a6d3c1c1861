// The operator's routes of the admin socket for limits; see ops/docs/formats/limits.md.
#pragma once

#include "config/base/clock.h"
#include "controlplane/serve/router.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// GET, PUT and PATCH /admin/v1/limits. `store` and `clock` outlive the router.
void add_limit_routes(Router& admin, Store& store, const Clock& clock);

}  // namespace turnpike::controlplane
