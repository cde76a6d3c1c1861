// The routes that gateways call, on the internal socket: snapshot, usage and load.
#pragma once

#include "config/base/clock.h"
#include "controlplane/serve/load_reports.h"
#include "controlplane/serve/router.h"
#include "controlplane/serve/snapshot_poller.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// All arguments outlive the router.
void add_internal_routes(
    Router& router, Store& store, SnapshotPoller& poller, LoadReports& loads, const Clock& clock);

}  // namespace turnpike::controlplane
