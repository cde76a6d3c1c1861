// What an engine says of itself: GET /health, GET /load and GET /meter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"

namespace turnpike::engine {

enum class EngineState { kLoading, kReady, kDraining, kFailed };

// GET /health: 200 when ready, 503 otherwise, the same body.
struct Health {
    EngineState state = EngineState::kLoading;
    std::string reason;  // why not ready
    std::string model;
    Epoch epoch;
    std::int64_t pid = 0;
    int protocol = 1;  // that it speaks
};

// GET /load.
struct Load {
    std::int64_t num_running = 0;
    std::int64_t num_waiting = 0;
    std::int64_t num_steps = 0;  // engine steps since start
    std::int64_t kv_blocks_used = 0;
    std::int64_t kv_blocks_total = 0;
    std::int64_t generated_tokens = 0;  // since start, as what follows
    std::int64_t num_preemptions = 0;
    std::int64_t cache_queried_tokens = 0;  // prompt tokens looked for in the prefix cache
    std::int64_t cache_hit_tokens = 0;      // of them, found
    std::int64_t num_drafts = 0;            // steps of a sequence that checked drafts
    std::int64_t draft_tokens = 0;          // drafts that were checked
    std::int64_t accepted_tokens = 0;       // of them, found right
    double tokens_per_s = 0.0;              // generated, over the last seconds
    // accepted_tokens by their place among the drafts of a step.
    std::vector<std::int64_t> accepted_at{};

    // Of the KV cache, the share that running sequences hold.
    double kv_usage() const {
        const auto total = static_cast<double>(kv_blocks_total);
        return kv_blocks_total > 0 ? static_cast<double>(kv_blocks_used) / total : 0.0;
    }
};

// GET /meter/<request id>: the engine's own count of one request, also after a restart.
struct MeterEntry {
    std::string request_id;
    TokenUsage usage;
    bool is_final = false;  // the request has ended; the counts will not change
};

// GET /meter: totals over every request the meter file has seen.
struct MeterTotals {
    std::int64_t num_requests = 0;
    std::int64_t num_open = 0;
    TokenUsage usage;
};

std::string_view to_string(EngineState state);
std::string write_health(const Health& health);
std::string write_load(const Load& load);
std::string write_meter_entry(const MeterEntry& entry);
std::string write_meter_totals(const MeterTotals& totals);
Result<Health> parse_health(std::string_view json);
Result<Load> parse_load(std::string_view json);
Result<MeterEntry> parse_meter_entry(std::string_view json);
Result<MeterTotals> parse_meter_totals(std::string_view json);

}  // namespace turnpike::engine
