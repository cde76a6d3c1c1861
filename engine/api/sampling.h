// Sampling parameters of one request, after defaults and range checks.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/base/ids.h"

namespace turnpike::engine {

struct SamplingParams {
    float temperature = 1.0F;  // 0 = greedy; at most 2
    float top_p = 1.0F;        // (0, 1]
    std::int32_t top_k = 0;    // 0 = off
    float min_p = 0.0F;        // [0, 1]
    float repetition_penalty = 1.0F;
    float presence_penalty = 0.0F;   // [-2, 2]
    float frequency_penalty = 0.0F;  // [-2, 2]
    std::map<TokenId, float> logit_bias;
    std::uint64_t seed = 0;             // noise is a function of (seed, choice, position) alone
    std::int32_t num_alternatives = 0;  // of the likeliest tokens, told with each sampled one

    // Whether sampling needs to know the tokens so far.
    bool has_penalties() const {
        return repetition_penalty != 1.0F || presence_penalty != 0.0F || frequency_penalty != 0.0F;
    }
};

// Natural log-probability in the model's own distribution: before bias, penalties and filters.
struct TokenLogprob {
    TokenId token = 0;
    float logprob = 0.0F;
};

}  // namespace turnpike::engine
