#include "controlplane/serve/metrics_routes.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "controlplane/serve/health_route.h"
#include "controlplane/store/leases.h"

namespace turnpike::controlplane {
namespace {

constexpr std::array kReplicaStates{ReplicaState::kPending,  ReplicaState::kPlaced,
                                    ReplicaState::kStarting, ReplicaState::kLoading,
                                    ReplicaState::kReady,    ReplicaState::kDraining,
                                    ReplicaState::kStopped,  ReplicaState::kFailed};
constexpr std::array kEndpointStates{EndpointState::kPending, EndpointState::kStarting,
                                     EndpointState::kStarted, EndpointState::kStopping,
                                     EndpointState::kStopped, EndpointState::kError};

double number(std::int64_t count) {
    return static_cast<double>(count);
}

double seconds_since(WallTime then, WallTime now) {
    return std::max(0.0, std::chrono::duration<double>(now - then).count());
}

template <class States, class Counts>
void write_by_state(MetricsText& out,
                    std::string_view name,
                    std::string_view help,
                    const States& states,
                    const Counts& counts) {
    out.family(name, "gauge", help);
    for (const auto state : states) {
        const auto found = counts.find(state);
        out.sample(name, found == counts.end() ? 0.0 : number(found->second),
                   metric_label("state", to_string(state)));
    }
}

void write_gauges(MetricsText& out, const StoreGauges& gauges, WallTime now) {
    write_by_state(out, "turnpike_controlplane_replicas", "Replicas by state.", kReplicaStates,
                   gauges.replicas);
    write_by_state(out, "turnpike_controlplane_endpoints", "Endpoints by state.", kEndpointStates,
                   gauges.endpoints);
    out.gauge("turnpike_controlplane_replicas_wanted", "Replicas that endpoints should have.",
              number(gauges.num_wanted_replicas));
    out.gauge("turnpike_controlplane_unposted_events", "Usage events not in the ledger yet.",
              number(gauges.num_unposted));
    out.gauge("turnpike_controlplane_unposted_age_seconds",
              "Since the oldest of them ended; 0: none.",
              gauges.oldest_unposted_at ? seconds_since(*gauges.oldest_unposted_at, now) : 0.0);
    out.gauge("turnpike_controlplane_quarantined_records",
              "Usage records that wait for an operator.", number(gauges.num_quarantined));
    out.gauge("turnpike_controlplane_gateways", "Gateways that have not left.",
              number(gauges.num_gateways));
    constexpr std::string_view kSeen = "turnpike_controlplane_gateway_seen_seconds";
    out.family(kSeen, "gauge", "Since a gateway last asked for leases: the latest, and the first.");
    if (gauges.gateway_seen_last_at)
        out.sample(kSeen, seconds_since(*gauges.gateway_seen_last_at, now), "gateway=\"latest\"");
    if (gauges.gateway_seen_first_at)
        out.sample(kSeen, seconds_since(*gauges.gateway_seen_first_at, now), "gateway=\"first\"");
    out.gauge("turnpike_controlplane_schema_version", "The last migration of control.db.",
              number(gauges.schema_version));
}

void write_sizes(MetricsText& out, const DatabaseSizes& sizes) {
    constexpr std::string_view kName = "turnpike_controlplane_database_bytes";
    out.family(kName, "gauge", "Databases on disk, with their write-ahead logs.");
    out.sample(kName, number(sizes.control_bytes), "database=\"control\"");
    out.sample(kName, number(sizes.usage_bytes), "database=\"usage\"");
}

void write_leases(MetricsText& out, const LeaseMetrics& leases) {
    constexpr std::string_view kName = "turnpike_controlplane_leases_total";
    out.family(kName, "counter", "Grants of credit to gateways, and requests refused whole.");
    out.sample(kName, number(leases.granted.value()), "outcome=\"granted\"");
    out.sample(kName, number(leases.cut.value()), "outcome=\"cut\"");
    out.sample(kName, number(leases.refused.value()), "outcome=\"refused\"");
}

}  // namespace

ServiceState read_state(const MetricsSources& sources) {
    ServiceState state;
    state.now = sources.clock.wall_now();
    const auto gauges = read_gauges(sources.store, state.now - LeaseTerms().give_up);
    if (gauges) state.store = *gauges;
    const auto sizes = read_database_sizes(sources.store);
    if (sizes) state.sizes = *sizes;
    std::error_code failed;
    const auto space = std::filesystem::space(sources.store.data_dir(), failed);
    if (!failed) state.data_free_bytes = static_cast<std::int64_t>(space.available);
    state.loads = sources.loads.freshness(state.now - kFreshLoad);
    state.num_snapshot_polls = sources.poller.num_waiting();
    return state;
}

void write_state(MetricsText& out, const ServiceState& state) {
    out.gauge("turnpike_controlplane_store_readable", "1 while the databases can be read.",
              state.store && state.sizes ? 1.0 : 0.0);
    if (state.store) write_gauges(out, *state.store, state.now);
    if (state.sizes) write_sizes(out, *state.sizes);
    if (state.data_free_bytes) {
        out.gauge("turnpike_controlplane_data_free_bytes", "Left on the file system of data_dir.",
                  number(*state.data_free_bytes));
    }
    out.gauge("turnpike_controlplane_load_reporting_gateways",
              "Gateways that reported their load in the last seconds.",
              number(state.loads.num_gateways));
    out.gauge("turnpike_controlplane_load_report_age_seconds",
              "Of the oldest last report of a gateway; 0: none.",
              state.loads.oldest_at ? seconds_since(*state.loads.oldest_at, state.now) : 0.0);
    out.gauge("turnpike_controlplane_snapshot_polls", "Gateways' long polls that wait.",
              number(state.num_snapshot_polls));
}

std::string write_metrics(const MetricsSources& sources, const ServiceState& state) {
    MetricsText out("");
    write_build_info(out, "controlplane", sources.build);
    write_loop_metrics(out, sources.loop, sources.started_at, sources.clock.steady_now());
    write_store_metrics(out, sources.store.metrics());
    write_leases(out, sources.leases);
    write_state(out, state);
    return out.text();
}

void add_metrics_routes(Router& router, const MetricsSources& sources) {
    router.add("GET", "/metrics", [sources](const net::HttpRequest&, const PathArguments&) {
        net::HttpResponse response;
        response.headers.add("content-type", std::string(MetricsText::kContentType));
        response.body = write_metrics(sources, read_state(sources));
        return response;
    });
    add_health_route(router, sources.store, sources.build);
}

}  // namespace turnpike::controlplane
