// The routes that gateways call, on the internal socket: snapshot, usage and load.
#pragma once

#include <functional>

#include "config/base/clock.h"
#include "controlplane/serve/load_reports.h"
#include "controlplane/serve/router.h"
#include "controlplane/serve/snapshot_poller.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// The references outlive the router. `on_waiting`: a gateway has requests that wait for a replica;
// called from the server's threads.
void add_internal_routes(Router& router,
                         Store& store,
                         SnapshotPoller& poller,
                         LoadReports& loads,
                         const Clock& clock,
                         std::function<void()> on_waiting);

}  // namespace turnpike::controlplane
