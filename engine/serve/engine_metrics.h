// What an engine counts of its requests, under the names that vLLM's dashboards and benchmark tool
// read; GET /metrics. Names that vLLM does not have begin with turnpike_.
#pragma once

#include <array>
#include <string>

#include "config/base/build_info.h"
#include "config/base/error.h"
#include "config/base/metrics.h"
#include "engine/api/status.h"

namespace turnpike::engine {

// How a request ended, one for all its choices.
enum class RequestEnd {
    kStop,    // every choice by an end token or a stop string
    kLength,  // some choice at max_tokens
    kAbort,   // its client left, read too slowly, or its deadline passed
    kError,   // the engine stopped
};

struct EngineMetrics {
    EngineMetrics();

    BuildInfo build;
    Counter prompt_tokens;                // of requests that were queued
    std::array<Counter, 4> ended;         // by RequestEnd
    Counter deadlines_passed;             // of running requests; also counted as kAbort
    std::array<Counter, 6> refused;       // by refusal_index()
    Histogram time_to_first_token_s;      // since arrival
    Histogram inter_token_s;              // of each choice
    Histogram request_time_per_token_s;   // mean of a request after its first token
    Histogram latency_s;                  // arrival to end
    Histogram queue_s;                    // arrival to the first step that holds it
    Histogram prefill_s;                  // that step to the first token
    Histogram decode_s;                   // first to last token
    Histogram request_prompt_tokens;      // of one request
    Histogram request_generation_tokens;  // of all its choices
    Histogram num_choices;
    Histogram max_tokens;

    // A request that was answered by an error before it was queued.
    void refuse(ErrorCode code);
};

// The whole text. `load` is as of now.
std::string write_metrics(const EngineMetrics& metrics,
                          const Load& load,
                          EngineState state,
                          const std::string& model);

}  // namespace turnpike::engine
