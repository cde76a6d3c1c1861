#include "gateway/client/bench/metrics.h"

#include <algorithm>
#include <utility>

namespace turnpike::gateway::client::bench {
namespace {

constexpr double kMsPerS = 1000.0;

struct Samples {
    std::vector<double> ttft_ms;
    std::vector<double> tpot_ms;
    std::vector<double> itl_ms;
    std::vector<double> e2el_ms;

    void take(const RequestRecord& record) {
        e2el_ms.push_back((record.end_s - record.start_s) * kMsPerS);
        if (record.first_token_s)
            ttft_ms.push_back((*record.first_token_s - record.start_s) * kMsPerS);
        if (const auto tpot_s = time_per_output_token_s(record))
            tpot_ms.push_back(*tpot_s * kMsPerS);
        for (const double gap_s : record.gaps_s) itl_ms.push_back(gap_s * kMsPerS);
    }
};

void count_outcome(const RequestRecord& record, Metrics& metrics) {
    switch (record.outcome) {
        case Outcome::kCompleted:
            ++metrics.num_completed;
            metrics.input_tokens += record.num_input_tokens();
            metrics.output_tokens += record.num_output_tokens();
            if (record.usage) metrics.cached_tokens += record.usage->cached_tokens;
            if (!record.usage) ++metrics.num_without_usage;
            break;
        case Outcome::kDisconnected:
            ++metrics.num_disconnected;
            if (!record.has_bytes) ++metrics.num_disconnected_before_first_byte;
            ++metrics.num_disconnected_while[static_cast<std::size_t>(record.phase)];
            break;
        case Outcome::kFailed:
            ++metrics.num_failed;
            ++metrics.failures[failure_name(record.failure, record.status)];
            metrics.examples.emplace(failure_name(record.failure, record.status), record.message);
            break;
        case Outcome::kAbandoned:
            ++metrics.num_abandoned;
            break;
    }
}

std::int64_t peak_text_events_per_s(std::span<const RequestRecord> records, double duration_s) {
    std::vector<std::int64_t> per_second(static_cast<std::size_t>(duration_s) + 1, 0);
    const auto note = [&](double at_s) {
        const auto second = static_cast<std::size_t>(std::max(at_s, 0.0));
        ++per_second[std::min(second, per_second.size() - 1)];
    };
    for (const RequestRecord& record : records) {
        if (!record.first_token_s) continue;
        double at_s = *record.first_token_s;
        note(at_s);
        for (const double gap_s : record.gaps_s) note(at_s += gap_s);
    }
    return *std::max_element(per_second.begin(), per_second.end());
}

}  // namespace

std::string phase_name(Phase phase) {
    switch (phase) {
        case Phase::kConnecting:
            return "connecting";
        case Phase::kSending:
            return "sending";
        case Phase::kWaiting:
            return "waiting";
        case Phase::kThinking:
            return "thinking";
        case Phase::kAnswering:
            return "answering";
    }
    return {};
}

std::string failure_name(FailureKind kind, int status) {
    switch (kind) {
        case FailureKind::kNone:
            return "none";
        case FailureKind::kConnect:
            return "connect";
        case FailureKind::kStatus:
            return "status_" + std::to_string(status);
        case FailureKind::kInStream:
            return "in_stream";
        case FailureKind::kCutOff:
            return "cut_off";
        case FailureKind::kTimeout:
            return "timeout";
        case FailureKind::kMalformed:
            return "malformed";
    }
    return {};
}

std::optional<double> time_per_output_token_s(const RequestRecord& record) {
    const std::int64_t num_tokens = record.num_output_tokens();
    if (!record.first_token_s || num_tokens < 2) return {};
    return (record.end_s - *record.first_token_s) / static_cast<double>(num_tokens - 1);
}

std::int64_t peak_concurrency(std::span<const RequestRecord> records) {
    std::vector<std::pair<double, int>> changes;  // at one moment ends (-1) come before starts (+1)
    for (const RequestRecord& record : records) {
        if (record.end_s <= record.start_s) continue;
        changes.emplace_back(record.start_s, +1);
        changes.emplace_back(record.end_s, -1);
    }
    std::sort(changes.begin(), changes.end());
    std::int64_t now = 0;
    std::int64_t peak = 0;
    for (const auto& [at_s, change] : changes) peak = std::max(peak, now += change);
    return peak;
}

bool is_good(const RequestRecord& record, const Slo& slo) {
    const double e2el_ms = (record.end_s - record.start_s) * kMsPerS;
    // An answer without text had its first token no later than its end.
    const double ttft_ms =
        record.first_token_s ? (*record.first_token_s - record.start_s) * kMsPerS : e2el_ms;
    const double tpot_ms = time_per_output_token_s(record).value_or(0.0) * kMsPerS;
    return (!slo.ttft_ms || ttft_ms <= *slo.ttft_ms) && (!slo.tpot_ms || tpot_ms <= *slo.tpot_ms) &&
           (!slo.e2el_ms || e2el_ms <= *slo.e2el_ms);
}

Metrics compute_metrics(std::span<const RequestRecord> records, const MetricsOptions& options) {
    Metrics metrics;
    Samples samples;
    metrics.num_requests = static_cast<std::int64_t>(records.size());
    for (const RequestRecord& record : records) {
        count_outcome(record, metrics);
        metrics.num_text_events += record.num_text_events;
        metrics.duration_s = std::max(metrics.duration_s, record.end_s);
        if (record.outcome != Outcome::kCompleted) continue;
        samples.take(record);
        if (options.slo.is_set() && is_good(record, options.slo)) ++metrics.num_good;
    }
    metrics.peak_concurrency = peak_concurrency(records);
    metrics.peak_text_events_per_s = peak_text_events_per_s(records, metrics.duration_s);
    const auto per_second = [&](std::int64_t count) {
        return metrics.duration_s > 0.0 ? static_cast<double>(count) / metrics.duration_s : 0.0;
    };
    metrics.requests_per_s = per_second(metrics.num_completed);
    metrics.output_tokens_per_s = per_second(metrics.output_tokens);
    metrics.total_tokens_per_s = per_second(metrics.input_tokens + metrics.output_tokens);
    metrics.good_requests_per_s = per_second(metrics.num_good);
    metrics.ttft_ms = describe(std::move(samples.ttft_ms), options.percents);
    metrics.tpot_ms = describe(std::move(samples.tpot_ms), options.percents);
    metrics.itl_ms = describe(std::move(samples.itl_ms), options.percents);
    metrics.e2el_ms = describe(std::move(samples.e2el_ms), options.percents);
    return metrics;
}

}  // namespace turnpike::gateway::client::bench
