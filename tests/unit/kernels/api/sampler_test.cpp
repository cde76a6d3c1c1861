// The noise of the sampler: Philox against its published answers, and the shape of the Gumbel
// variates.
#include "kernels/api/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace turnpike::kernels {
namespace {

// The known answers that the authors of Philox publish for ten rounds (Random123, kat_vectors).
TEST(Philox, KnownAnswers) {
    using Counter = std::array<std::uint32_t, 4>;
    EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
              (Counter{0x6627E8D5U, 0xE169C58DU, 0xBC57AC4CU, 0x9B00DBD8U}));
    constexpr std::uint32_t kOnes = 0xFFFFFFFFU;
    EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
              (Counter{0x408F276DU, 0x41C83B0EU, 0xA20BC7C6U, 0x6D5451FDU}));
    EXPECT_EQ(philox4x32({0x243F6A88U, 0x85A308D3U, 0x13198A2EU, 0x03707344U},
                         {0xA4093822U, 0x299F31D0U}),
              (Counter{0xD16CFE09U, 0x94FDCCEBU, 0x5001E420U, 0x24126EA1U}));
}

TEST(GumbelNoise, HasTheMeanAndVarianceOfTheDistribution) {
    SampleParams params;
    params.seed = 12345;
    double sum = 0.0;
    double squares = 0.0;
    constexpr int kCount = 200'000;
    for (int token = 0; token < kCount; ++token) {
        const double noise = gumbel_noise(params, token);
        ASSERT_TRUE(std::isfinite(noise));
        sum += noise;
        squares += noise * noise;
    }
    const double mean = sum / kCount;
    EXPECT_NEAR(mean, 0.5772156649, 0.012);                              // 4 standard errors
    EXPECT_NEAR(squares / kCount - mean * mean, M_PI * M_PI / 6, 0.04);  // 4 standard errors
}

TEST(GumbelNoise, DependsOnEachInput) {
    SampleParams params;
    params.seed = 7;
    params.position = 3;
    const double noise = gumbel_noise(params, 11);
    EXPECT_EQ(gumbel_noise(params, 11), noise);
    EXPECT_NE(gumbel_noise(params, 12), noise);
    SampleParams other = params;
    other.position = 4;
    EXPECT_NE(gumbel_noise(other, 11), noise);
    other = params;
    other.choice_index = 1;
    EXPECT_NE(gumbel_noise(other, 11), noise);
    other = params;
    other.seed = 7 + (std::uint64_t{1} << 32);  // the upper half counts too
    EXPECT_NE(gumbel_noise(other, 11), noise);
}

TEST(EditLogits, AppliesBiasThenPenaltiesThenTheMask) {
    SampleParams params;
    EXPECT_FALSE(has_edits(params));
    const std::vector<SeenToken> seen{{0, 0}, {1, 3}, {2, 1}, {9, 1}, {-1, 1}};
    const std::vector<TokenBias> bias{{0, 1.0F}, {3, -4.0F}, {9, 1.0F}, {-5, 1.0F}};
    const std::vector<std::uint32_t> allowed{0b10111};
    params.repetition_penalty = 2.0F;
    params.frequency_penalty = 0.5F;
    params.presence_penalty = 0.25F;
    EXPECT_FALSE(has_edits(params));  // nothing was seen yet
    params.seen = seen;
    params.bias = bias;
    params.allowed = allowed;
    EXPECT_TRUE(has_edits(params));
    std::vector<float> logits{1.0F, 4.0F, -1.0F, 2.0F, 0.5F};
    edit_logits(params, logits);
    // 0: in the prompt only; 2: negative, so multiplied; 3: not allowed; 4: untouched.
    EXPECT_EQ(logits, (std::vector<float>{1.0F, 0.25F, -2.75F,
                                          -std::numeric_limits<float>::infinity(), 0.5F}));
}

}  // namespace
}  // namespace turnpike::kernels
