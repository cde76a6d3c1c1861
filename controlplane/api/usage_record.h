// Usage records: what a gateway's outbox holds and delivers. POST /internal/v1/usage; the unique
// key is the request id, (outbox, sequence) is only transport. See ops/docs/formats/usage.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"

namespace turnpike::controlplane {

// How a request ended. Billed: the first three. Written off: the last two, which were our fault.
enum class Outcome {
    kCompleted,      // the engine finished it
    kClientGone,     // the client left; billed to the engine's last count
    kRefused,        // an error before the first token: no tokens
    kReplicaFailed,  // the engine died or broke the protocol after dispatch
    kGatewayFailed,  // the gateway died after dispatch; counts come from the engine's meter
};

// Of a record's prompt or completion: thousands of times the longest context. More is refused, so
// that no record can overflow the arithmetic of money.
inline constexpr TokenCount kMaxRecordTokens = 1'000'000'000;

struct UsageRecord {
    RequestId request_id;  // its ULID time decides the month's file
    OrgId org;
    KeyId key;
    std::string model;         // the name asked for: it has the price
    std::string served_model;  // what ran
    EndpointId endpoint;
    ReplicaId replica;
    Epoch epoch;
    std::int64_t price_version = 0;
    Outcome outcome = Outcome::kCompleted;
    int http_status = 200;
    TokenUsage usage;
    bool is_provider_reported = false;  // counts come from a foreign upstream's usage fields
    WallTime opened_at;
    WallTime closed_at;
};

struct UsageBatch {
    std::string outbox_id;
    std::int64_t first_sequence = 0;
    std::vector<UsageRecord> records;
};

bool is_billed(Outcome outcome);
std::string_view to_string(Outcome outcome);
Result<Outcome> parse_outcome(std::string_view text);

std::string write_usage_record(const UsageRecord& record);
Result<UsageRecord> parse_usage_record(std::string_view json);
std::string write_usage_batch(const UsageBatch& batch);
Result<UsageBatch> parse_usage_batch(std::string_view json);

}  // namespace turnpike::controlplane
