// The sampler: greedy, filters against hand-worked sets, frequencies by chi-square,
// log-probabilities.
#include "kernels/cpu/reference/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <vector>

namespace turnpike::kernels::reference {
namespace {

// Probabilities 0.4, 0.3, 0.15, 0.1, 0.05 in a mixed order.
const std::vector<double> kProbabilities{0.1, 0.4, 0.05, 0.3, 0.15};

std::vector<float> logits_of(const std::vector<double>& probabilities) {
    std::vector<float> logits;
    for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)) + 3.0F);
    return logits;
}

std::set<std::int32_t> tokens_seen(const std::vector<float>& logits, SampleParams params) {
    std::set<std::int32_t> seen;
    for (int position = 0; position < 2000; ++position) {
        params.position = position;
        seen.insert(sample_row(logits, params).token);
    }
    return seen;
}

TEST(Sampler, GreedyTakesTheLowestOfTheLargest) {
    SampleParams params;
    params.temperature = 0.0F;
    EXPECT_EQ(sample_row(std::vector<float>{1.0F, 5.0F, 5.0F, 2.0F}, params).token, 1);
}

TEST(Sampler, LogprobIsOfTheModelsOwnDistribution) {
    SampleParams params;
    params.temperature = 0.3F;
    params.top_k = 2;
    const SampledRow row = sample_row(logits_of(kProbabilities), params);
    EXPECT_NEAR(row.logprob, std::log(kProbabilities[static_cast<std::size_t>(row.token)]), 1e-5);
}

TEST(Sampler, FiltersKeepTheStatedTokens) {
    const auto logits = logits_of(kProbabilities);
    SampleParams params;
    params.seed = 99;
    using Set = std::set<std::int32_t>;
    EXPECT_EQ(tokens_seen(logits, params), (Set{0, 1, 2, 3, 4}));
    params.top_k = 2;
    EXPECT_EQ(tokens_seen(logits, params), (Set{1, 3}));
    params.top_k = 0;
    params.top_p = 0.65F;  // 0.4, 0.7: the token that crosses stays
    EXPECT_EQ(tokens_seen(logits, params), (Set{1, 3}));
    params.top_p = 0.75F;
    EXPECT_EQ(tokens_seen(logits, params), (Set{1, 3, 4}));
    params.top_p = 1e-9F;
    EXPECT_EQ(tokens_seen(logits, params), (Set{1}));
    params.top_p = 1.0F;
    params.min_p = 0.3F;  // 0.12 of 0.4
    EXPECT_EQ(tokens_seen(logits, params), (Set{1, 3, 4}));
    params.min_p = 1.0F;
    EXPECT_EQ(tokens_seen(logits, params), (Set{1}));
}

TEST(Sampler, TopPIsOfWhatTopKLeaves) {
    SampleParams params;
    params.top_k = 2;      // 0.4 and 0.3 become 4/7 and 3/7
    params.top_p = 0.55F;  // below 4/7, above 0.4
    EXPECT_EQ(tokens_seen(logits_of(kProbabilities), params), (std::set<std::int32_t>{1}));
}

TEST(Sampler, TiesAtABorderGoToTheLowerToken) {
    SampleParams params;
    params.top_k = 2;
    const std::vector<float> logits{1.0F, 2.0F, 2.0F, 2.0F};
    EXPECT_EQ(tokens_seen(logits, params), (std::set<std::int32_t>{1, 2}));
}

double chi_square(const std::vector<double>& expected, SampleParams params, int count) {
    const auto logits = logits_of(kProbabilities);
    std::map<std::int32_t, int> seen;
    for (int position = 0; position < count; ++position) {
        params.position = position;
        ++seen[sample_row(logits, params).token];
    }
    double sum = 0.0;
    for (std::size_t token = 0; token < expected.size(); ++token) {
        const double wanted = expected[token] * count;
        const double difference = seen[static_cast<std::int32_t>(token)] - wanted;
        sum += wanted > 0.0 ? difference * difference / wanted : difference * difference * 1e9;
    }
    return sum;
}

// Four degrees of freedom: 18.5 is exceeded with probability 0.001; the seeds are fixed.
TEST(Sampler, FrequenciesAreTheProbabilities) {
    for (const std::uint64_t seed : {1U, 2U, 3U}) {
        SampleParams params;
        params.seed = seed;
        EXPECT_LT(chi_square(kProbabilities, params, 20'000), 18.5) << "seed " << seed;
    }
}

TEST(Sampler, FrequenciesFollowTemperature) {
    std::vector<double> expected;
    double total = 0.0;
    for (const double p : kProbabilities) total += std::pow(p, 1.0 / 0.6);
    for (const double p : kProbabilities) expected.push_back(std::pow(p, 1.0 / 0.6) / total);
    SampleParams params;
    params.seed = 4;
    params.temperature = 0.6F;
    EXPECT_LT(chi_square(expected, params, 20'000), 18.5);
}

TEST(Sampler, FrequenciesAreRenormalisedAfterTopP) {
    SampleParams params;
    params.seed = 5;
    params.top_p = 0.65F;
    // One degree of freedom: 10.8 at 0.001.
    EXPECT_LT(chi_square({0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0, 0.0}, params, 20'000), 10.8);
}

TEST(Sampler, ChoicesAndPositionsAreIndependent) {
    // Two choices at the same positions agree as often as chance has it.
    const auto logits = logits_of(kProbabilities);
    double chance = 0.0;
    for (const double p : kProbabilities) chance += p * p;
    int equal = 0;
    constexpr int kCount = 20'000;
    SampleParams params;
    params.seed = 6;
    for (params.position = 0; params.position < kCount; ++params.position) {
        params.choice_index = 0;
        const std::int32_t first = sample_row(logits, params).token;
        params.choice_index = 1;
        equal += first == sample_row(logits, params).token ? 1 : 0;
    }
    const double deviation = std::sqrt(kCount * chance * (1.0 - chance));
    EXPECT_NEAR(equal, kCount * chance, 4.0 * deviation);
}

}  // namespace
}  // namespace turnpike::kernels::reference
