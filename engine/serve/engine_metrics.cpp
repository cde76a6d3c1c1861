#include "engine/serve/engine_metrics.h"

#include <algorithm>

#include "engine/api/api_error.h"

namespace turnpike::engine {
namespace {

// The buckets are vLLM's (vllm/v1/metrics/loggers.py), so that its dashboards read ours.
constexpr std::array kFirstTokenBounds{0.001, 0.005, 0.01, 0.02,  0.04,  0.06,  0.08, 0.1,
                                       0.25,  0.5,   0.75, 1.0,   2.5,   5.0,   7.5,  10.0,
                                       20.0,  40.0,  80.0, 160.0, 640.0, 2560.0};
constexpr std::array kTokenBounds{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,  0.3,  0.4, 0.5,
                                  0.75, 1.0,   2.5,  5.0,   7.5, 10.0, 20.0, 40.0, 80.0};
constexpr std::array kRequestBounds{0.3,  0.5,   0.8,   1.0,   1.5,   2.0,    2.5,
                                    5.0,  10.0,  15.0,  20.0,  30.0,  40.0,   50.0,
                                    60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0};
constexpr std::array kCountBounds{1.0,     2.0,     5.0,     10.0,     20.0,    50.0,
                                  100.0,   200.0,   500.0,   1000.0,   2000.0,  5000.0,
                                  10000.0, 20000.0, 50000.0, 100000.0, 200000.0};
constexpr std::array kChoiceBounds{1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0};

constexpr std::array kEndNames{"stop", "length", "abort", "error"};
// Statuses of refusals; whatever is not among them counts as the last.
constexpr std::array kRefusals{"400", "404", "409", "503", "504", "other"};

std::size_t refusal_index(int status) {
    const std::string text = std::to_string(status);
    const auto found = std::find(kRefusals.begin(), kRefusals.end() - 1, text);
    return static_cast<std::size_t>(found - kRefusals.begin());
}

template <class Names, class Counters>
void write_labelled(MetricsText& out,
                    std::string_view name,
                    std::string_view help,
                    std::string_view label,
                    const Names& names,
                    const Counters& counters) {
    out.family(name, "counter", help);
    for (std::size_t i = 0; i < counters.size(); ++i) {
        out.sample(name, static_cast<double>(counters[i].value()), metric_label(label, names[i]));
    }
}

void write_load(MetricsText& out, const Load& load) {
    const auto number = [](std::int64_t count) { return static_cast<double>(count); };
    out.gauge("vllm:num_requests_running", "Sequences that share steps.", number(load.num_running));
    out.gauge("vllm:num_requests_waiting", "Sequences in the queue.", number(load.num_waiting));
    out.gauge("vllm:kv_cache_usage_perc", "KV blocks in use, 1 = all.", load.kv_usage());
    out.gauge("vllm:gpu_cache_usage_perc", "The older name of kv_cache_usage_perc.",
              load.kv_usage());
    out.gauge("turnpike_kv_blocks", "KV blocks of 64 tokens.", number(load.kv_blocks_total));
    out.gauge("turnpike_tokens_per_second", "Generated, over the last seconds.", load.tokens_per_s);
    out.counter("turnpike_steps_total", "Engine steps.", number(load.num_steps));
    out.counter("vllm:num_preemptions_total", "Sequences that gave their blocks back.",
                number(load.num_preemptions));
    out.counter("vllm:generation_tokens_total", "Generated tokens.", number(load.generated_tokens));
    out.counter("vllm:prefix_cache_queries_total", "Tokens looked for in the prefix cache.",
                number(load.cache_queried_tokens));
    out.counter("vllm:prefix_cache_hits_total", "Tokens found in the prefix cache.",
                number(load.cache_hit_tokens));
    out.counter("vllm:spec_decode_num_drafts_total", "Steps of a sequence that checked drafts.",
                number(load.num_drafts));
    out.counter("vllm:spec_decode_num_draft_tokens_total", "Drafts that were checked.",
                number(load.draft_tokens));
    out.counter("vllm:spec_decode_num_accepted_tokens_total", "Drafts that were right.",
                number(load.accepted_tokens));
    constexpr std::string_view kPerPosition = "vllm:spec_decode_num_accepted_tokens_per_pos_total";
    out.family(kPerPosition, "counter", "Drafts that were right, by their place in the step.");
    for (std::size_t i = 0; i < load.accepted_at.size(); ++i) {
        out.sample(kPerPosition, number(load.accepted_at[i]),
                   metric_label("position", std::to_string(i)));
    }
}

void write_histograms(MetricsText& out, const EngineMetrics& metrics) {
    out.histogram("vllm:time_to_first_token_seconds", "Arrival to the first token.",
                  metrics.time_to_first_token_s);
    out.histogram("vllm:inter_token_latency_seconds", "Between tokens of one answer.",
                  metrics.inter_token_s);
    out.histogram("vllm:time_per_output_token_seconds",
                  "The older name of inter_token_latency_seconds.", metrics.inter_token_s);
    out.histogram("vllm:request_time_per_output_token_seconds",
                  "Mean time between tokens of a request.", metrics.request_time_per_token_s);
    out.histogram("vllm:e2e_request_latency_seconds", "Arrival to the end.", metrics.latency_s);
    out.histogram("vllm:request_queue_time_seconds", "Arrival to the first step.", metrics.queue_s);
    out.histogram("vllm:request_prefill_time_seconds", "First step to the first token.",
                  metrics.prefill_s);
    out.histogram("vllm:request_decode_time_seconds", "First to last token.", metrics.decode_s);
    out.histogram("vllm:request_prompt_tokens", "Prompt tokens of a request.",
                  metrics.request_prompt_tokens);
    out.histogram("vllm:request_generation_tokens", "Generated tokens of a request.",
                  metrics.request_generation_tokens);
    out.histogram("vllm:request_params_n", "Answers asked for.", metrics.num_choices);
    out.histogram("vllm:request_params_max_tokens", "Length that is allowed.", metrics.max_tokens);
}

}  // namespace

EngineMetrics::EngineMetrics()
    : time_to_first_token_s(kFirstTokenBounds),
      inter_token_s(kTokenBounds),
      request_time_per_token_s(kTokenBounds),
      latency_s(kRequestBounds),
      queue_s(kRequestBounds),
      prefill_s(kRequestBounds),
      decode_s(kRequestBounds),
      request_prompt_tokens(kCountBounds),
      request_generation_tokens(kCountBounds),
      num_choices(kChoiceBounds),
      max_tokens(kCountBounds) {}

void EngineMetrics::refuse(ErrorCode code) {
    refused[refusal_index(http_status(code))].add();
}

std::string write_metrics(const EngineMetrics& metrics,
                          const Load& load,
                          EngineState state,
                          const std::string& model) {
    MetricsText out(metric_label("model_name", model) + "," + metric_label("engine", "0"));
    write_build_info(out, "engine", metrics.build);
    write_load(out, load);
    out.counter("vllm:prompt_tokens_total", "Prompt tokens of requests that were answered.",
                static_cast<double>(metrics.prompt_tokens.value()));
    write_labelled(out, "vllm:request_success_total", "Requests that ended, by how.",
                   "finished_reason", kEndNames, metrics.ended);
    write_labelled(out, "turnpike_requests_refused_total",
                   "Requests that were not queued, by HTTP status.", "status", kRefusals,
                   metrics.refused);
    out.counter("turnpike_deadlines_passed_total", "Requests that their deadline ended.",
                static_cast<double>(metrics.deadlines_passed.value()));
    out.gauge("turnpike_ready", "1 while requests are taken.",
              state == EngineState::kReady ? 1.0 : 0.0);
    write_histograms(out, metrics);
    return out.text();
}

}  // namespace turnpike::engine
