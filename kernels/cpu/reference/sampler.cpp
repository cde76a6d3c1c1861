// See sampler.h. Probabilities and noise are computed in double; logits come in f32.
#include "kernels/cpu/reference/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "config/base/check.h"

namespace turnpike::kernels::reference {
namespace {

std::int32_t argmax(std::span<const float> logits) {
    return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) -
                                     logits.begin());
}

float logprob_of(std::span<const float> logits, std::int32_t best, std::int32_t token) {
    const double max = logits[static_cast<std::size_t>(best)];
    double total = 0.0;
    for (const float logit : logits) total += std::exp(static_cast<double>(logit) - max);
    return static_cast<float>(logits[static_cast<std::size_t>(token)] - max - std::log(total));
}

// Tokens by descending logit, the lower token first on ties.
std::vector<std::int32_t> ranked_tokens(std::span<const float> logits) {
    std::vector<std::int32_t> tokens(logits.size());
    std::iota(tokens.begin(), tokens.end(), 0);
    std::sort(tokens.begin(), tokens.end(), [&](std::int32_t a, std::int32_t b) {
        const float left = logits[static_cast<std::size_t>(a)];
        const float right = logits[static_cast<std::size_t>(b)];
        return left != right ? left > right : a < b;
    });
    return tokens;
}

// The tokens that top-k, top-p and min-p leave: at least one, a prefix of the ranking.
std::vector<std::int32_t> kept_tokens(std::span<const float> logits, const SampleParams& params) {
    std::vector<std::int32_t> tokens = ranked_tokens(logits);
    if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < tokens.size()) {
        tokens.resize(static_cast<std::size_t>(params.top_k));
    }
    const double max = logits[static_cast<std::size_t>(tokens.front())];
    std::vector<double> odds;  // relative to the likeliest token
    for (const std::int32_t token : tokens) {
        const double logit = logits[static_cast<std::size_t>(token)];
        odds.push_back(std::exp((logit - max) / static_cast<double>(params.temperature)));
    }
    const double wanted =
        static_cast<double>(params.top_p) * std::accumulate(odds.begin(), odds.end(), 0.0);
    std::size_t num_kept = 0;
    double total = 0.0;
    while (num_kept < odds.size()) {
        const bool is_below = odds[num_kept] < static_cast<double>(params.min_p);
        if (num_kept > 0 && (is_below || (params.top_p < 1.0F && total >= wanted))) break;
        total += odds[num_kept];
        ++num_kept;
    }
    tokens.resize(num_kept);
    return tokens;
}

}  // namespace

SampledRow sample_row(std::span<const float> logits, const SampleParams& params) {
    CHECK(!logits.empty());
    const std::int32_t best = argmax(logits);
    CHECK(std::isfinite(logits[static_cast<std::size_t>(best)]));
    if (params.temperature <= 0.0F) return {best, logprob_of(logits, best, best)};

    const bool is_filtered = params.top_k > 0 || params.top_p < 1.0F || params.min_p > 0.0F;
    std::vector<std::int32_t> tokens;
    if (is_filtered) {
        tokens = kept_tokens(logits, params);
        std::sort(tokens.begin(), tokens.end());  // so that ties go to the lower token
    } else {
        tokens.resize(logits.size());
        std::iota(tokens.begin(), tokens.end(), 0);
    }
    std::int32_t winner = tokens.front();
    double highest = -std::numeric_limits<double>::infinity();
    for (const std::int32_t token : tokens) {
        const double logit = logits[static_cast<std::size_t>(token)];
        const double value =
            logit / static_cast<double>(params.temperature) + gumbel_noise(params, token);
        if (value > highest) {
            highest = value;
            winner = token;
        }
    }
    return {winner, logprob_of(logits, best, winner)};
}

}  // namespace turnpike::kernels::reference
