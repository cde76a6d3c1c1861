#include "gateway/client/bench/report.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "gateway/client/terminal.h"

namespace turnpike::gateway::client::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kNameWidth = 40;

// Four digits after the point: a tenth of a microsecond where the unit is a millisecond.
double rounded(double value) {
    return std::round(value * 1e4) / 1e4;
}

// "90", "99.9"
std::string percent_text(double percent) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%g", percent);
    return text.data();
}

double cpu_us_per_event(const Metrics& metrics, const RunFacts& facts) {
    if (metrics.num_text_events == 0) return 0.0;
    return facts.client_cpu_s * 1e6 / static_cast<double>(metrics.num_text_events);
}

class Table {
  public:
    void heading(const std::string& title) { text_ += title + "\n"; }

    void line(const std::string& name, const std::string& value) {
        const auto width = static_cast<std::size_t>(kNameWidth);
        const std::size_t padding = name.size() < width ? width - name.size() : 1;
        const std::size_t indent = value.size() < 14 ? 14 - value.size() : 0;
        text_ += "  " + name + std::string(padding + indent, ' ') + value + "\n";
    }

    void line(const std::string& name, std::int64_t value) { line(name, std::to_string(value)); }

    void line(const std::string& name, double value) {
        std::array<char, 64> text{};
        std::snprintf(text.data(), text.size(), "%.2f", value);
        line(name, std::string(text.data()));
    }

    void distribution(const std::string& title, const Distribution& numbers) {
        if (numbers.count == 0) return;
        heading(title);
        line("mean", numbers.mean);
        line("median", numbers.median);
        for (const auto& [percent, value] : numbers.percentiles)
            line("p" + percent_text(percent), value);
        line("max", numbers.max);
    }

    std::string text() const { return text_; }

  private:
    std::string text_;
};

void add_counts(Table& table, const Metrics& metrics) {
    table.line("completed", metrics.num_completed);
    if (metrics.num_failed > 0) table.line("failed", metrics.num_failed);
    for (const auto& [name, count] : metrics.failures) {
        table.line("  " + name, count);
        if (const std::string& example = metrics.examples.at(name); !example.empty())
            table.heading("      such as: " + escape_controls(example));
    }
    if (metrics.num_disconnected > 0) {
        table.line("disconnected by us", metrics.num_disconnected);
        table.line("  before the first byte", metrics.num_disconnected_before_first_byte);
        for (std::size_t i = 0; i < kNumPhases; ++i) {
            const std::int64_t count = metrics.num_disconnected_while[i];
            if (count > 0) table.line("  while " + phase_name(static_cast<Phase>(i)), count);
        }
    }
    if (metrics.num_abandoned > 0) table.line("abandoned", metrics.num_abandoned);
}

Json distribution_json(const Distribution& numbers) {
    if (numbers.count == 0) return Json{{"count", 0}};
    Json json{{"count", numbers.count},
              {"mean", rounded(numbers.mean)},
              {"median", rounded(numbers.median)},
              {"std", rounded(numbers.standard_deviation)},
              {"min", rounded(numbers.min)},
              {"max", rounded(numbers.max)}};
    for (const auto& [percent, value] : numbers.percentiles)
        json["p" + percent_text(percent)] = rounded(value);
    return json;
}

Json slo_json(const Slo& slo) {
    Json json = Json::object();
    if (slo.ttft_ms) json["ttft"] = *slo.ttft_ms;
    if (slo.tpot_ms) json["tpot"] = *slo.tpot_ms;
    if (slo.e2el_ms) json["e2el"] = *slo.e2el_ms;
    return json;
}

Json facts_json(const RunFacts& facts) {
    return {{"started_at", facts.started_at},
            {"commit", facts.commit},
            {"machine", {{"cpu", facts.machine}, {"cpus", facts.num_cpus}}},
            {"base_url", facts.base_url},
            {"model", facts.model},
            {"arguments", facts.arguments},
            {"metadata", facts.metadata},
            {"warmup_requests", facts.num_warmup},
            {"interrupted", facts.is_interrupted}};
}

Json counts_json(const Metrics& metrics) {
    Json by_phase = Json::object();
    for (std::size_t i = 0; i < kNumPhases; ++i)
        by_phase[phase_name(static_cast<Phase>(i))] = metrics.num_disconnected_while[i];
    return {{"total", metrics.num_requests},
            {"completed", metrics.num_completed},
            {"failed", metrics.num_failed},
            {"failures", metrics.failures},
            {"disconnected", metrics.num_disconnected},
            {"disconnected_before_first_byte", metrics.num_disconnected_before_first_byte},
            {"disconnected_while", std::move(by_phase)},
            {"abandoned", metrics.num_abandoned}};
}

Json tokens_json(const Metrics& metrics) {
    return {{"input", metrics.input_tokens},
            {"cached", metrics.cached_tokens},
            {"output", metrics.output_tokens},
            {"requests_without_usage", metrics.num_without_usage},
            {"text_events", metrics.num_text_events}};
}

std::string outcome_name(Outcome outcome) {
    switch (outcome) {
        case Outcome::kCompleted:
            return "completed";
        case Outcome::kDisconnected:
            return "disconnected";
        case Outcome::kFailed:
            return "failed";
        case Outcome::kAbandoned:
            return "abandoned";
    }
    return {};
}

Json row_json(const RequestRecord& record) {
    const auto ms = [](double seconds) { return rounded(seconds * 1e3); };
    Json row{{"index", record.index},
             {"request_id", record.request_id},
             {"outcome", outcome_name(record.outcome)},
             {"start_ms", ms(record.start_s)},
             {"e2el_ms", ms(record.end_s - record.start_s)},
             {"input_tokens", record.num_input_tokens()},
             {"output_tokens", record.num_output_tokens()},
             {"text_events", record.num_text_events},
             {"finish_reason", record.finish_reason}};
    if (record.usage) row["cached_tokens"] = record.usage->cached_tokens;
    if (record.first_token_s) row["ttft_ms"] = ms(*record.first_token_s - record.start_s);
    if (const auto tpot_s = time_per_output_token_s(record)) row["tpot_ms"] = ms(*tpot_s);
    Json gaps = Json::array();
    for (const double gap_s : record.gaps_s) gaps.push_back(ms(gap_s));
    row["itl_ms"] = std::move(gaps);
    if (record.outcome == Outcome::kDisconnected) {
        row["had_first_byte"] = record.has_bytes;
        row["phase"] = phase_name(record.phase);
    }
    if (record.outcome == Outcome::kFailed) {
        row["failure"] = failure_name(record.failure, record.status);
        row["message"] = record.message;
    }
    return row;
}

}  // namespace

std::string report_table(const Metrics& metrics, const RunFacts& facts, const Slo& slo) {
    Table table;
    table.heading(facts.model + " at " + facts.base_url +
                  (facts.is_interrupted ? ", interrupted" : ""));
    add_counts(table, metrics);
    table.line("duration (s)", metrics.duration_s);
    table.line("input tokens", metrics.input_tokens);
    if (metrics.cached_tokens > 0) table.line("  of them cached", metrics.cached_tokens);
    table.line("output tokens", metrics.output_tokens);
    table.line("requests per second", metrics.requests_per_s);
    table.line("output tokens per second", metrics.output_tokens_per_s);
    table.line("all tokens per second", metrics.total_tokens_per_s);
    if (slo.is_set()) table.line("goodput (requests per second)", metrics.good_requests_per_s);
    table.line("peak concurrency", metrics.peak_concurrency);
    table.line("peak stream events in a second", metrics.peak_text_events_per_s);
    table.line("this program's CPU (us per event)", cpu_us_per_event(metrics, facts));
    table.distribution("time to first token, TTFT (ms)", metrics.ttft_ms);
    table.distribution("time per output token without the first, TPOT (ms)", metrics.tpot_ms);
    table.distribution("inter-token latency, ITL (ms)", metrics.itl_ms);
    table.distribution("end-to-end latency, E2EL (ms)", metrics.e2el_ms);
    return table.text();
}

std::string report_json(const Metrics& metrics,
                        const RunFacts& facts,
                        const Slo& slo,
                        std::span<const RequestRecord> records) {
    Json report = facts_json(facts);
    report["requests"] = counts_json(metrics);
    report["tokens"] = tokens_json(metrics);
    report["duration_s"] = rounded(metrics.duration_s);
    report["requests_per_s"] = rounded(metrics.requests_per_s);
    report["output_tokens_per_s"] = rounded(metrics.output_tokens_per_s);
    report["total_tokens_per_s"] = rounded(metrics.total_tokens_per_s);
    if (slo.is_set()) {
        report["goodput"] = {{"slo_ms", slo_json(slo)},
                             {"good_requests", metrics.num_good},
                             {"requests_per_s", rounded(metrics.good_requests_per_s)}};
    }
    report["peak_concurrency"] = metrics.peak_concurrency;
    report["peak_text_events_per_s"] = metrics.peak_text_events_per_s;
    report["ttft_ms"] = distribution_json(metrics.ttft_ms);
    report["tpot_ms"] = distribution_json(metrics.tpot_ms);
    report["itl_ms"] = distribution_json(metrics.itl_ms);
    report["e2el_ms"] = distribution_json(metrics.e2el_ms);
    report["client"] = {{"cpu_s", rounded(facts.client_cpu_s)},
                        {"cpu_us_per_text_event", rounded(cpu_us_per_event(metrics, facts))}};
    if (!records.empty()) {
        Json rows = Json::array();
        for (const RequestRecord& record : records) rows.push_back(row_json(record));
        report["rows"] = std::move(rows);
    }
    // What a server said may be no UTF-8.
    return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace turnpike::gateway::client::bench
