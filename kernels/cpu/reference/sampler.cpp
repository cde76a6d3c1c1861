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

// log(sum(exp(logits))), in double.
double log_total(std::span<const float> logits) {
    const double max = logits[static_cast<std::size_t>(argmax(logits))];
    double total = 0.0;
    for (const float logit : logits) total += std::exp(static_cast<double>(logit) - max);
    return max + std::log(total);
}

// By descending logit, the lower token first on ties.
struct Ranking {
    std::span<const float> logits;

    bool operator()(std::int32_t a, std::int32_t b) const {
        const float left = logits[static_cast<std::size_t>(a)];
        const float right = logits[static_cast<std::size_t>(b)];
        return left != right ? left > right : a < b;
    }
};

std::vector<std::int32_t> ranked_tokens(std::span<const float> logits) {
    std::vector<std::int32_t> tokens(logits.size());
    std::iota(tokens.begin(), tokens.end(), 0);
    std::sort(tokens.begin(), tokens.end(), Ranking{logits});
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

// argmax(logit / temperature + noise) over what the filters keep.
std::int32_t choose(std::span<const float> logits, const SampleParams& params) {
    const std::int32_t best = argmax(logits);
    CHECK(std::isfinite(logits[static_cast<std::size_t>(best)]));
    if (params.temperature <= 0.0F) return best;

    const bool is_filtered = params.top_k > 0 || params.top_p < 1.0F || params.min_p > 0.0F;
    std::vector<std::int32_t> tokens;
    if (is_filtered) {
        tokens = kept_tokens(logits, params);
        std::sort(tokens.begin(), tokens.end());  // so that ties go to the lower token
    } else {
        tokens.resize(logits.size());
        std::iota(tokens.begin(), tokens.end(), 0);
    }
    std::int32_t winner = best;
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
    return winner;
}

}  // namespace

std::vector<std::int32_t> likeliest_tokens(std::span<const float> logits, std::int32_t count) {
    std::vector<std::int32_t> tokens(logits.size());
    std::iota(tokens.begin(), tokens.end(), 0);
    const auto middle = tokens.begin() + static_cast<std::ptrdiff_t>(std::min(
                                             tokens.size(), static_cast<std::size_t>(count)));
    std::partial_sort(tokens.begin(), middle, tokens.end(), Ranking{logits});
    tokens.erase(middle, tokens.end());
    return tokens;
}

SampledRow sample_row(std::span<const float> logits, const SampleParams& params) {
    CHECK(!logits.empty());
    SampledRow row;
    if (has_edits(params)) {
        std::vector<float> edited(logits.begin(), logits.end());
        edit_logits(params, edited);
        row.token = choose(edited, params);
    } else {
        row.token = choose(logits, params);
    }
    const double total = log_total(logits);
    const auto logprob_of = [&](std::int32_t token) {
        return static_cast<float>(logits[static_cast<std::size_t>(token)] - total);
    };
    row.logprob = logprob_of(row.token);
    if (params.num_alternatives > 0) {
        for (const std::int32_t token : likeliest_tokens(logits, params.num_alternatives))
            row.alternatives.push_back({token, logprob_of(token)});
    }
    return row;
}

}  // namespace turnpike::kernels::reference
