// Reading of usage: raw events of the months' files, newest first, and their rollups. Writing is
// Store::ingest.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "controlplane/api/usage_record.h"

namespace turnpike::controlplane {

class Store;

struct UsageRow {
    UsageRecord record;
    NanoUsd cost_nano_usd;         // zero when it was written off
    NanoUsd written_off_nano_usd;  // what it would have cost
    std::int64_t sequence = 0;     // in its month's file, once it is there
};

struct UsageTotals {
    std::int64_t num_requests = 0;  // billed ones
    TokenUsage billed;
    NanoUsd cost_nano_usd;
    std::int64_t num_written_off = 0;
    TokenUsage written_off;
    NanoUsd written_off_nano_usd;
};

struct UsageListing {
    std::vector<UsageRow> rows;  // newest first, at most `limit`
    UsageTotals totals;          // of everything, not only of these rows
};

Result<UsageListing> list_usage(const Store& store,
                                const std::optional<OrgId>& org,
                                std::int64_t limit);

// kNotFound when this organisation has no such request: another's answers like an unknown one.
Result<UsageRow> find_usage(const Store& store, const OrgId& org, const RequestId& id);

struct UsagePage {
    std::vector<UsageRow> rows;              // in order of arrival
    std::optional<std::int64_t> next_after;  // empty: that was all
};

// Of one organisation and month, beyond the sequence `after`, at most `limit`.
Result<UsagePage> page_usage(const Store& store,
                             const OrgId& org,
                             const std::string& month,
                             std::int64_t after,
                             std::int64_t limit);

// RFC 4180 rows; the header is that of every page.
std::string usage_csv_header();
std::string write_csv(const std::vector<UsageRow>& rows);

// Every request of a replica until `visit` says false: months newest first, arrivals in order.
Status visit_usage(const Store& store,
                   const ReplicaId& replica,
                   const std::function<Result<bool>(const UsageRow&)>& visit);

// One row per organisation, UTC day of the request's ULID, model and billed or not.
struct Rollup {
    OrgId org;
    std::string day;  // "2026-11-23"
    std::string model;
    bool is_billed = true;
    std::int64_t num_requests = 0;
    TokenUsage usage;
    NanoUsd cost_nano_usd;
};

Result<std::vector<Rollup>> list_rollups(const Store& store, const std::optional<OrgId>& org);

}  // namespace turnpike::controlplane
