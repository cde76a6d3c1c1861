// See sampler.h. Instead of sorting the vocabulary, the odds at which a filter cuts are bracketed
// by bisection, over fewer values each time; and the noise of a token is computed exactly only when
// its random word could win.
#include "kernels/cpu/fast/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "config/base/check.h"
#include "kernels/cpu/reference/sampler.h"

namespace turnpike::kernels::fast {
namespace {

constexpr std::int64_t kMaxCandidates = 512;  // as many are sorted
// Noise lies between -3.7 and 36.8: less odds than e^-41.4 against the likeliest never win.
constexpr float kLeastOdds = 1e-18F;
constexpr float kNoLimit = std::numeric_limits<float>::infinity();
// Odds are rounded: 1e-5 at most, for those over kLeastOdds.
constexpr double kOddsMargin = 1.001;

// Arrays are left without values until they are written.
template <class T>
std::unique_ptr<T[]> array_of(std::int64_t size) {
    return std::make_unique_for_overwrite<T[]>(static_cast<std::size_t>(size));
}

// Some tokens of a row and their odds relative to the likeliest token, which is 1.
struct TokenSet {
    std::unique_ptr<float[]> odds;
    std::unique_ptr<std::int32_t[]> tokens;
    std::int64_t size = 0;

    std::int32_t token(std::int64_t i) const { return tokens.get()[i]; }

    float odds_of(std::int64_t i) const { return odds.get()[i]; }

    static_assert(KernelTable::kContenderLanes >= KernelTable::kCompactRoom);

    // With room for what compact writes beyond, and for whole groups of contenders.
    explicit TokenSet(std::int64_t capacity)
        : odds(array_of<float>(capacity + KernelTable::kContenderLanes)),
          tokens(array_of<std::int32_t>(capacity + KernelTable::kContenderLanes)) {}
};

// Odds in [low, high): those from high on are not yet enough for the filter, those from low on are.
struct Bracket {
    float low = 0.0F;
    float high = 0.0F;
    KernelTable::Mass above;  // from high on
    std::int64_t num_inside = 0;
};

// is_enough(mass): whether the likeliest tokens, of that sum and number, satisfy the filter. All of
// the set are taken to be, and to have the least odds or more.
template <class IsEnough>
Bracket narrow(const KernelTable& table,
               const TokenSet& set,
               float least,
               const IsEnough& is_enough) {
    // The order of floats over 0 is that of their bits.
    auto low = std::bit_cast<std::uint32_t>(least);
    std::uint32_t high = std::bit_cast<std::uint32_t>(1.0F) + 1;
    Bracket bracket;
    bracket.num_inside = set.size;
    const float* inside = set.odds.get();
    std::unique_ptr<float[]> fewer;
    while (high - low > 1 && bracket.num_inside > kMaxCandidates) {
        const std::int64_t count = bracket.num_inside;
        const std::uint32_t middle = low + (high - low) / 2;
        const auto mass = table.mass_from(inside, count, std::bit_cast<float>(middle));
        const KernelTable::Mass above{bracket.above.sum + mass.sum,
                                      bracket.above.count + mass.count};
        if (is_enough(above)) {
            low = middle;
            bracket.num_inside = mass.count;
        } else {
            high = middle;
            bracket.above = above;
            bracket.num_inside = count - mass.count;
        }
        if (bracket.num_inside == count) continue;
        if (!fewer) fewer = array_of<float>(set.size + KernelTable::kCompactRoom);
        table.compact(inside, nullptr, count, std::bit_cast<float>(low), std::bit_cast<float>(high),
                      fewer.get(), nullptr);
        inside = fewer.get();
    }
    bracket.low = std::bit_cast<float>(low);
    bracket.high = std::bit_cast<float>(high);
    return bracket;
}

// Leaves the likeliest tokens until is_enough(their mass), at least one; in any order.
template <class IsEnough>
void keep_likeliest(const KernelTable& table,
                    std::span<const float> logits,
                    TokenSet& set,
                    float least,
                    const IsEnough& is_enough) {
    const Bracket bracket = narrow(table, set, least, is_enough);
    TokenSet candidates(bracket.num_inside);
    candidates.size = table.compact(set.odds.get(), set.tokens.get(), set.size, bracket.low,
                                    bracket.high, candidates.odds.get(), candidates.tokens.get());
    std::vector<std::pair<std::int32_t, float>> ranked;
    ranked.reserve(static_cast<std::size_t>(candidates.size));
    for (std::int64_t i = 0; i < candidates.size; ++i)
        ranked.emplace_back(candidates.token(i), candidates.odds_of(i));
    std::sort(ranked.begin(), ranked.end(), [&](const auto& a, const auto& b) {
        const float left = logits[static_cast<std::size_t>(a.first)];
        const float right = logits[static_cast<std::size_t>(b.first)];
        return left != right ? left > right : a.first < b.first;
    });
    set.size = table.compact(set.odds.get(), set.tokens.get(), set.size, bracket.high, kNoLimit,
                             set.odds.get(), set.tokens.get());
    KernelTable::Mass mass = bracket.above;
    for (const auto& [token, odds] : ranked) {
        if (set.size > 0 && is_enough(mass)) break;
        mass.sum += static_cast<double>(odds);
        ++mass.count;
        set.tokens.get()[set.size] = token;
        set.odds.get()[set.size++] = odds;
    }
}

// What top-k, top-p and min-p leave, but for tokens that are too unlikely to win. odds: of every
// token; total: their sum.
TokenSet kept_tokens(const KernelTable& table,
                     std::span<const float> logits,
                     const float* odds,
                     double total,
                     const SampleParams& params) {
    const auto count = static_cast<std::int64_t>(logits.size());
    const auto top_p = static_cast<double>(params.top_p);
    const bool has_top_p = params.top_p < 1.0F;
    float least = kLeastOdds;
    if (has_top_p && params.top_k <= 0) {
        // All tokens below that have less than half of what top-p leaves out.
        const double share = 0.5 * (1.0 - top_p) * total / static_cast<double>(count);
        least = std::max(least, static_cast<float>(share));
    }
    TokenSet set(count);
    set.size =
        table.compact(odds, nullptr, count, least, kNoLimit, set.odds.get(), set.tokens.get());
    if (params.top_k > 0) {
        if (params.top_k < set.size) {
            keep_likeliest(table, logits, set, least, [&](const KernelTable::Mass& mass) {
                return mass.count >= params.top_k;
            });
        }
        total = table.mass_from(set.odds.get(), set.size, 0.0F).sum;
    }
    if (has_top_p) {
        keep_likeliest(table, logits, set, least,
                       [&](const KernelTable::Mass& mass) { return mass.sum >= top_p * total; });
    }
    if (params.min_p > least) {
        set.size =
            table.compact(set.odds.get(), set.tokens.get(), set.size, std::min(params.min_p, 1.0F),
                          kNoLimit, set.odds.get(), set.tokens.get());
    }
    return set;
}

// argmax(logit / temperature + noise) over the set; the lower token on ties. That is the token of
// the least exponential variate -log(u) over its odds, and 1 - u <= -log(u): most words are too far
// from 1 to be looked at again.
std::int32_t choose_among(const KernelTable& table,
                          std::span<const float> logits,
                          float max,
                          TokenSet& set,
                          const SampleParams& params) {
    constexpr std::int64_t kLanes = KernelTable::kContenderLanes;
    const auto temperature = static_cast<double>(params.temperature);
    const std::int64_t padded = (set.size + kLanes - 1) / kLanes * kLanes;
    std::fill(set.odds.get() + set.size, set.odds.get() + padded, 0.0F);
    std::fill(set.tokens.get() + set.size, set.tokens.get() + padded, 0);
    std::int32_t winner = -1;
    double highest = -std::numeric_limits<double>::infinity();
    float bound = std::numeric_limits<float>::max();
    std::uint32_t contenders = 0;
    for (std::int64_t begin = 0;
         (begin = table.find_contender(set.tokens.get(), set.odds.get(), begin, padded, params,
                                       bound, &contenders)) < padded;
         begin += kLanes) {
        for (std::int64_t i = begin; i < std::min(begin + kLanes, set.size); ++i) {
            if ((contenders >> (i - begin) & 1U) == 0) continue;
            const std::int32_t token = set.token(i);
            const double logit = logits[static_cast<std::size_t>(token)];
            const double value = logit / temperature + gumbel_noise(params, token);
            if (value < highest || (value == highest && token > winner)) continue;
            highest = value;
            winner = token;
        }
        const double variate = std::exp(static_cast<double>(max) / temperature - highest);
        bound = static_cast<float>(std::min(variate * 0x1p24 * kOddsMargin, 1e30));
    }
    CHECK(winner >= 0);
    return winner;
}

// log(sum(exp(logits))), where `total` is the sum relative to the largest of them.
double log_total(float max, double total) {
    return static_cast<double>(max) + std::log(total);
}

}  // namespace

SampledRow sample_row(const KernelTable& table,
                      std::span<const float> logits,
                      const SampleParams& params) {
    CHECK(!logits.empty());
    const auto count = static_cast<std::int64_t>(logits.size());
    const auto odds = array_of<float>(count);
    const float max = table.max_of(logits.data(), count);
    SampledRow row;
    double log_sum = 0.0;
    const bool is_edited = has_edits(params);
    const bool is_own_distribution = !is_edited && params.temperature == 1.0F;
    if (!is_own_distribution)
        log_sum = log_total(max, table.exp_all(logits.data(), count, max, 1.0F, odds.get()));
    std::vector<float> copy;
    std::span<const float> edited = logits;
    float edited_max = max;
    if (is_edited) {
        copy.assign(logits.begin(), logits.end());
        edit_logits(params, copy);
        edited = copy;
        edited_max = table.max_of(copy.data(), count);
    }
    CHECK(std::isfinite(edited_max));
    if (params.temperature <= 0.0F) {
        row.token = static_cast<std::int32_t>(std::find(edited.begin(), edited.end(), edited_max) -
                                              edited.begin());
    } else {
        const double total =
            table.exp_all(edited.data(), count, edited_max, 1.0F / params.temperature, odds.get());
        if (is_own_distribution) log_sum = log_total(max, total);
        TokenSet kept = kept_tokens(table, edited, odds.get(), total, params);
        row.token = choose_among(table, edited, edited_max, kept, params);
    }
    const auto logprob_of = [&](std::int32_t token) {
        return static_cast<float>(logits[static_cast<std::size_t>(token)] - log_sum);
    };
    row.logprob = logprob_of(row.token);
    if (params.num_alternatives > 0) {
        for (const std::int32_t token :
             reference::likeliest_tokens(logits, params.num_alternatives))
            row.alternatives.push_back({token, logprob_of(token)});
    }
    return row;
}

}  // namespace turnpike::kernels::fast
