// What a run's records amount to, by vLLM's definitions. See ops/docs/formats/bench.md.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gateway/client/bench/record.h"
#include "gateway/client/bench/statistics.h"

namespace turnpike::gateway::client::bench {

// Milliseconds that a good request does not exceed; none: not asked for.
struct Slo {
    std::optional<double> ttft_ms;
    std::optional<double> tpot_ms;
    std::optional<double> e2el_ms;

    bool is_set() const { return ttft_ms || tpot_ms || e2el_ms; }
};

struct MetricsOptions {
    std::vector<double> percents = {90.0, 95.0, 99.0};
    Slo slo;
};

struct Metrics {
    std::int64_t num_requests = 0;
    std::int64_t num_completed = 0;
    std::int64_t num_failed = 0;
    std::int64_t num_disconnected = 0;
    std::int64_t num_disconnected_before_first_byte = 0;
    std::array<std::int64_t, kNumPhases> num_disconnected_while{};  // by Phase
    std::int64_t num_abandoned = 0;
    std::map<std::string, std::int64_t> failures;  // by failure_name()
    std::map<std::string, std::string> examples;   // the message of one of each
    double duration_s = 0.0;                       // from 0 to the last end
    // Of completed requests.
    std::int64_t input_tokens = 0;
    std::int64_t cached_tokens = 0;
    std::int64_t output_tokens = 0;
    std::int64_t num_without_usage = 0;  // their output tokens are counted events
    double requests_per_s = 0.0;
    double output_tokens_per_s = 0.0;
    double total_tokens_per_s = 0.0;
    std::int64_t num_good = 0;  // when an SLO is set
    double good_requests_per_s = 0.0;
    // Of all requests.
    std::int64_t num_text_events = 0;
    std::int64_t peak_concurrency = 0;
    std::int64_t peak_text_events_per_s = 0;  // most within one second of the run
    // Of completed requests, in milliseconds.
    Distribution ttft_ms;
    Distribution tpot_ms;
    Distribution itl_ms;
    Distribution e2el_ms;
};

// (latency - time to first token) / (output tokens - 1), in seconds; none without a second token
// or without a stream.
std::optional<double> time_per_output_token_s(const RequestRecord& record);

// The most requests in progress at one moment; one that ends when another starts is not with it.
std::int64_t peak_concurrency(std::span<const RequestRecord> records);

bool is_good(const RequestRecord& record, const Slo& slo);

Metrics compute_metrics(std::span<const RequestRecord> records, const MetricsOptions& options);

}  // namespace turnpike::gateway::client::bench
