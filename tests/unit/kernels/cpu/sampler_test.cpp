// The sampler: greedy, filters and masks against hand-worked sets, log-probabilities.
#include "kernels/cpu/reference/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
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

TEST(Sampler, AMaskLeavesTheAllowedTokens) {
    const auto logits = logits_of(kProbabilities);
    SampleParams params;
    const std::vector<std::uint32_t> allowed{0b10101};
    params.allowed = allowed;
    using Set = std::set<std::int32_t>;
    EXPECT_EQ(tokens_seen(logits, params), (Set{0, 2, 4}));
    params.top_k = 4;  // more than are allowed
    EXPECT_EQ(tokens_seen(logits, params), (Set{0, 2, 4}));
    params.top_k = 2;
    EXPECT_EQ(tokens_seen(logits, params), (Set{0, 4}));
    params.temperature = 0.0F;
    EXPECT_EQ(tokens_seen(logits, params), (Set{4}));
}

TEST(Sampler, LogprobsIgnoreEditsAndListTheLikeliest) {
    SampleParams params;
    params.temperature = 0.0F;
    const std::vector<TokenBias> bias{{2, 100.0F}};
    params.bias = bias;
    params.num_alternatives = 3;
    const SampledRow row = sample_row(logits_of(kProbabilities), params);
    EXPECT_EQ(row.token, 2);
    EXPECT_NEAR(row.logprob, std::log(0.05), 1e-5);
    ASSERT_EQ(row.alternatives.size(), 3U);
    const std::vector<std::int32_t> expected{1, 3, 4};
    for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(row.alternatives[i].token, expected[i]);
        EXPECT_NEAR(row.alternatives[i].logprob,
                    std::log(kProbabilities[static_cast<std::size_t>(expected[i])]), 1e-5);
    }
    params.num_alternatives = 20;
    EXPECT_EQ(sample_row(logits_of(kProbabilities), params).alternatives.size(), 5U);
    params.num_alternatives = 2;
    const auto tied = sample_row(std::vector<float>{1.0F, 2.0F, 2.0F, 2.0F}, params).alternatives;
    EXPECT_EQ(tied[0].token, 1);
    EXPECT_EQ(tied[1].token, 2);
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
