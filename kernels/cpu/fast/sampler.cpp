// See sampler.h. The set that top-p and min-p leave is found by bisection of the smallest odds in
// it, not by a sort; the noise is computed roughly for the whole set and exactly for the leaders.
#include "kernels/cpu/fast/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "config/base/check.h"
#include "kernels/cpu/reference/sampler.h"

namespace turnpike::kernels::fast {
namespace {

constexpr std::int64_t kMaxCandidates = 512;  // as many are sorted
constexpr std::int64_t kSkip = 64;            // values that are looked over at once
// The rough noise is within 0.05 of the exact one, or infinite.
constexpr float kNoiseMargin = 0.2F;

// Calls take(i) for every odds[i] at or over `least`, ascending.
template <class Take>
void for_each_from(const KernelTable& table,
                   std::span<const float> odds,
                   float least,
                   const Take& take) {
    const auto count = static_cast<std::int64_t>(odds.size());
    for (std::int64_t begin = 0; begin < count; begin += kSkip) {
        const std::int64_t end = std::min(count, begin + kSkip);
        if (table.max_of(odds.data() + begin, end - begin) < least) continue;
        for (std::int64_t i = begin; i < end; ++i) {
            if (odds[static_cast<std::size_t>(i)] >= least) take(static_cast<std::int32_t>(i));
        }
    }
}

// odds in [low, high): those from high on have less mass than wanted, those from low on enough.
struct Bracket {
    std::uint32_t low = 0;  // bits of an f32: the order of floats over 0 is that of their bits
    std::uint32_t high = 0;
    KernelTable::Mass above;  // from high on
    std::int64_t num_from_low = 0;
};

Bracket narrow(const KernelTable& table, std::span<const float> odds, double wanted) {
    const auto count = static_cast<std::int64_t>(odds.size());
    Bracket bracket{0, std::bit_cast<std::uint32_t>(1.0F) + 1, {}, count};
    while (bracket.high - bracket.low > 1 &&
           bracket.num_from_low - bracket.above.count > kMaxCandidates) {
        const std::uint32_t middle = bracket.low + (bracket.high - bracket.low) / 2;
        const auto mass = table.mass_from(odds.data(), count, std::bit_cast<float>(middle));
        if (mass.sum >= wanted) {
            bracket.low = middle;
            bracket.num_from_low = mass.count;
        } else {
            bracket.high = middle;
            bracket.above = mass;
        }
    }
    return bracket;
}

// The tokens that top-p and min-p leave, ascending. odds: relative to the likeliest, which is 1.
std::vector<std::int32_t> kept_tokens(const KernelTable& table,
                                      std::span<const float> logits,
                                      std::span<const float> odds,
                                      double total,
                                      const SampleParams& params) {
    std::vector<std::int32_t> kept;
    const auto keep = [&](std::int32_t token) { kept.push_back(token); };
    if (params.top_p >= 1.0F) {
        for_each_from(table, odds, std::min(params.min_p, 1.0F), keep);
        return kept;
    }
    const double wanted = static_cast<double>(params.top_p) * total;
    const Bracket bracket = narrow(table, odds, wanted);
    const float high = std::bit_cast<float>(bracket.high);
    std::vector<std::int32_t> candidates;
    for_each_from(table, odds, std::bit_cast<float>(bracket.low), [&](std::int32_t token) {
        const float value = odds[static_cast<std::size_t>(token)];
        (value >= high ? kept : candidates).push_back(token);
    });
    std::stable_sort(candidates.begin(), candidates.end(), [&](std::int32_t a, std::int32_t b) {
        return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
    });
    double mass = bracket.above.sum;
    for (const std::int32_t token : candidates) {
        if (mass >= wanted && !kept.empty()) break;
        mass += static_cast<double>(odds[static_cast<std::size_t>(token)]);
        kept.push_back(token);
    }
    const float least = std::min(params.min_p, 1.0F);
    std::erase_if(
        kept, [&](std::int32_t token) { return odds[static_cast<std::size_t>(token)] < least; });
    std::sort(kept.begin(), kept.end());
    return kept;
}

// argmax(logit / temperature + noise) over `tokens`, which ascend; the lower token on ties.
std::int32_t choose_among(const KernelTable& table,
                          std::span<const float> logits,
                          std::span<const std::int32_t> tokens,
                          const SampleParams& params) {
    std::vector<float> rough(tokens.size());
    table.rough_noise(tokens.data(), static_cast<std::int64_t>(tokens.size()), params,
                      rough.data());
    const float inverse = 1.0F / params.temperature;
    float highest_rough = -std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        const float logit = logits[static_cast<std::size_t>(tokens[i])] * inverse;
        const bool is_unknown = std::isinf(rough[i]);
        rough[i] = is_unknown && std::isfinite(logit) ? rough[i] : rough[i] + logit;
        if (!is_unknown) highest_rough = std::max(highest_rough, rough[i]);
    }
    // Rounding of large logits counts, too.
    const float least = highest_rough - kNoiseMargin - 1e-5F * std::abs(highest_rough);
    std::int32_t winner = tokens.front();
    double highest = -std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (rough[i] < least) continue;
        const double logit = logits[static_cast<std::size_t>(tokens[i])];
        const double value =
            logit / static_cast<double>(params.temperature) + gumbel_noise(params, tokens[i]);
        if (value > highest) {
            highest = value;
            winner = tokens[i];
        }
    }
    return winner;
}

std::int32_t choose(const KernelTable& table,
                    std::span<const float> logits,
                    const SampleParams& params) {
    const auto count = static_cast<std::int64_t>(logits.size());
    const float max = table.max_of(logits.data(), count);
    CHECK(std::isfinite(max));
    if (params.temperature <= 0.0F)
        return static_cast<std::int32_t>(std::find(logits.begin(), logits.end(), max) -
                                         logits.begin());
    std::vector<float> odds(logits.size());
    const double total =
        table.exp_all(logits.data(), count, max, 1.0F / params.temperature, odds.data());
    return choose_among(table, logits, kept_tokens(table, logits, odds, total, params), params);
}

}  // namespace

SampledRow sample_row(const KernelTable& table,
                      std::span<const float> logits,
                      const SampleParams& params) {
    CHECK(!logits.empty());
    // A fixed number of tokens is a matter of ranks, which the reference sorts.
    if (params.temperature > 0.0F && params.top_k > 0) return reference::sample_row(logits, params);
    SampledRow row;
    if (has_edits(params)) {
        std::vector<float> edited(logits.begin(), logits.end());
        edit_logits(params, edited);
        row.token = choose(table, edited, params);
    } else {
        row.token = choose(table, logits, params);
    }
    const auto count = static_cast<std::int64_t>(logits.size());
    const float max = table.max_of(logits.data(), count);
    std::vector<float> odds(logits.size());
    const double total = table.exp_all(logits.data(), count, max, 1.0F, odds.data());
    const double log_total = static_cast<double>(max) + std::log(total);
    const auto logprob_of = [&](std::int32_t token) {
        return static_cast<float>(logits[static_cast<std::size_t>(token)] - log_total);
    };
    row.logprob = logprob_of(row.token);
    if (params.num_alternatives > 0) {
        SampleParams likeliest;
        likeliest.temperature = 0.0F;
        likeliest.num_alternatives = params.num_alternatives;
        row.alternatives = reference::sample_row(logits, likeliest).alternatives;
        // One token's log-probability is one number, wherever it is told.
        for (TokenLogprob& entry : row.alternatives) entry.logprob = logprob_of(entry.token);
    }
    return row;
}

}  // namespace turnpike::kernels::fast
