// GET /metrics: what the control plane counts and how things stand, for Prometheus; see
// ops/docs/formats/metrics.md. Label sets are closed: nothing that a client named is a label.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/base/build_info.h"
#include "config/base/clock.h"
#include "controlplane/run/loop_metrics.h"
#include "controlplane/serve/lease_routes.h"
#include "controlplane/serve/load_reports.h"
#include "controlplane/serve/router.h"
#include "controlplane/serve/snapshot_poller.h"
#include "controlplane/store/store.h"
#include "controlplane/store/store_gauges.h"

namespace turnpike::controlplane {

// Who counts and who knows. All but `build` outlive the router.
struct MetricsSources {
    const Store& store;
    const LoopMetrics& loop;
    const LeaseMetrics& leases;
    const LoadReports& loads;
    const SnapshotPoller& poller;
    const Clock& clock;
    SteadyTime started_at;
    BuildInfo build;
};

// What stands at the moment; what could not be read is left out.
struct ServiceState {
    WallTime now;
    std::optional<StoreGauges> store;
    std::optional<DatabaseSizes> sizes;
    std::optional<std::int64_t> data_free_bytes;  // of the file system that data_dir is on
    LoadReports::Freshness loads;
    std::int64_t num_snapshot_polls = 0;
};

ServiceState read_state(const MetricsSources& sources);

// The families of `state` alone.
void write_state(MetricsText& out, const ServiceState& state);

// The whole text.
std::string write_metrics(const MetricsSources& sources, const ServiceState& state);

// GET /metrics, and GET /healthz beside it.
void add_metrics_routes(Router& router, const MetricsSources& sources);

}  // namespace turnpike::controlplane
