// GET /healthz: that the stores are open, of which schema they are, and which build this is; on the
// admin listeners and on that of the metrics.
#pragma once

#include "config/base/build_info.h"
#include "controlplane/serve/router.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// `store` outlives the router.
void add_health_route(Router& router, const Store& store, BuildInfo build);

}  // namespace turnpike::controlplane
