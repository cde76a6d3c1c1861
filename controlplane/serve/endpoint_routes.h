// Routes of endpoints, hardware, replicas and parking: ops/docs/formats/admin-api.md.
#pragma once

#include "config/base/clock.h"
#include "controlplane/run/driver.h"
#include "controlplane/run/loop.h"
#include "controlplane/serve/router.h"
#include "controlplane/serve/settings.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// All outlive the router. `org` in the query is an organisation's id or name, and then only its
// endpoints exist; without it the caller is an operator and sees everything.
struct EndpointContext {
    Store& store;
    Driver& driver;
    ReconcileLoop& loop;
    const ControlplaneSettings& settings;
    const Clock& clock;
};

void add_endpoint_routes(Router& router, const EndpointContext& context);

}  // namespace turnpike::controlplane
