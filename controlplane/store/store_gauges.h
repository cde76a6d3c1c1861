// StoreGauges: how things stand in the databases, read for a scrape of the metrics.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "controlplane/api/endpoint.h"

namespace turnpike::controlplane {

class Store;

struct StoreGauges {
    std::map<ReplicaState, std::int64_t> replicas;    // that are not forgotten
    std::map<EndpointState, std::int64_t> endpoints;  // that are not deleted
    std::int64_t num_wanted_replicas = 0;             // of endpoints that are to be started
    std::int64_t num_unposted = 0;                    // events that are not in the ledger yet
    std::optional<WallTime> oldest_unposted_at;       // when that request ended
    std::int64_t num_quarantined = 0;                 // that wait for an operator
    std::int64_t num_gateways = 0;                    // that have not said that they leave
    std::optional<WallTime> gateway_seen_first_at;    // of them, the one not seen for longest
    std::optional<WallTime> gateway_seen_last_at;     // of them, the one seen last
    std::int64_t schema_version = 0;                  // read_schema_version()
};

// A gateway that was not seen since `gateways_since` is given up and does not count.
Result<StoreGauges> read_gauges(const Store& store, WallTime gateways_since);

// The last migration of control.db.
Result<std::int64_t> read_schema_version(const Store& store);

// Bytes on disk, with the write-ahead logs.
struct DatabaseSizes {
    std::int64_t control_bytes = 0;
    std::int64_t usage_bytes = 0;  // of all months
};

Result<DatabaseSizes> read_database_sizes(const Store& store);

}  // namespace turnpike::controlplane
