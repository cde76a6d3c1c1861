// What operators alone may ask of replicas: list, restart, park. See ops/docs/formats/admin-api.md.
#pragma once

#include "config/base/clock.h"
#include "controlplane/run/driver.h"
#include "controlplane/run/loop.h"
#include "controlplane/serve/router.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// All outlive the router.
struct ReplicaContext {
    Store& store;
    Driver& driver;
    ReconcileLoop& loop;
    const Clock& clock;
};

void add_replica_routes(Router& router, const ReplicaContext& context);

}  // namespace turnpike::controlplane
