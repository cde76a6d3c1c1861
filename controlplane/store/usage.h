// Reading of usage: raw events of the months' files, newest first, and their rollups. Writing is
// Store::ingest.
#pragma once

#include <cstdint>
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
