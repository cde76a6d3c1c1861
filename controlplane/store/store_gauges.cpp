#include "controlplane/store/store_gauges.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>

#include "controlplane/store/endpoints.h"
#include "controlplane/store/poster.h"
#include "controlplane/store/quarantine.h"
#include "controlplane/store/replicas.h"
#include "controlplane/store/store.h"
#include "controlplane/store/usage_events.h"

namespace turnpike::controlplane {
namespace {

Status read_endpoints(const Store& store, StoreGauges& gauges) {
    const auto endpoints = list_endpoints(store, std::nullopt);
    RETURN_IF_ERROR(endpoints);
    for (const Endpoint& endpoint : *endpoints) {
        ++gauges.endpoints[endpoint.state];
        if (endpoint.desired != DesiredState::kStarted) continue;
        gauges.num_wanted_replicas +=
            std::clamp(endpoint.target_replicas, endpoint.autoscaling.min_replicas,
                       endpoint.autoscaling.max_replicas);
    }
    const auto replicas = list_replicas(store, std::nullopt);
    RETURN_IF_ERROR(replicas);
    for (const Replica& replica : *replicas) ++gauges.replicas[replica.state];
    return {};
}

Status read_gateways(Database& control, WallTime since, StoreGauges& gauges) {
    Statement row = control.prepare(
        "SELECT count(*), min(seen_at_us), max(seen_at_us) FROM gateways WHERE wants_share = 1 AND "
        "seen_at_us > ?");
    if (row.bind(since).step()) {
        gauges.num_gateways = row.integer(0);
        gauges.gateway_seen_first_at = row.optional_time(1);
        gauges.gateway_seen_last_at = row.optional_time(2);
    }
    return row.status();
}

// The watermark is read after the events were counted, so that what is posted in between is not
// counted as missing.
Status read_lag(const Store& store, StoreGauges& gauges) {
    return store.read_months([&](const std::string& month, Database& file) -> Result<bool> {
        const auto last = read_last_sequence(file);
        RETURN_IF_ERROR(last);
        std::int64_t watermark = 0;
        RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
            const auto posted = read_watermark(control, month);
            RETURN_IF_ERROR(posted);
            watermark = *posted;
            return {};
        }));
        if (*last <= watermark) return true;
        gauges.num_unposted += *last - watermark;
        Statement row = file.prepare(
            "SELECT closed_at_us FROM events WHERE sequence > ? ORDER BY sequence LIMIT 1");
        if (row.bind(watermark).step()) {
            const WallTime closed_at = row.time(0);
            gauges.oldest_unposted_at =
                std::min(closed_at, gauges.oldest_unposted_at.value_or(closed_at));
        }
        RETURN_IF_ERROR(row.status());
        return true;
    });
}

}  // namespace

Result<StoreGauges> read_gauges(const Store& store, WallTime gateways_since) {
    StoreGauges gauges;
    RETURN_IF_ERROR(read_endpoints(store, gauges));
    RETURN_IF_ERROR(store.read(
        [&](Database& control) { return read_gateways(control, gateways_since, gauges); }));
    RETURN_IF_ERROR(read_lag(store, gauges));
    const auto num_quarantined = count_quarantine(store);
    RETURN_IF_ERROR(num_quarantined);
    gauges.num_quarantined = *num_quarantined;
    const auto schema_version = read_schema_version(store);
    RETURN_IF_ERROR(schema_version);
    gauges.schema_version = *schema_version;
    return gauges;
}

Result<std::int64_t> read_schema_version(const Store& store) {
    std::int64_t version = 0;
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        Statement row = control.prepare("PRAGMA user_version");
        if (row.step()) version = row.integer(0);
        return row.status();
    }));
    return version;
}

Result<DatabaseSizes> read_database_sizes(const Store& store) {
    DatabaseSizes sizes;
    std::error_code failed;
    std::filesystem::directory_iterator entries(store.data_dir(), failed);
    if (failed) return Error{ErrorCode::kIo, store.data_dir() + ": " + failed.message(), {}};
    for (const auto& entry : entries) {
        const std::string name = entry.path().filename().string();
        std::error_code gone;  // a write-ahead log that was just ended
        const std::uintmax_t size = entry.file_size(gone);
        if (gone) continue;
        if (name.starts_with("control.db")) sizes.control_bytes += static_cast<std::int64_t>(size);
        if (name.starts_with("usage-")) sizes.usage_bytes += static_cast<std::int64_t>(size);
    }
    return sizes;
}

}  // namespace turnpike::controlplane
