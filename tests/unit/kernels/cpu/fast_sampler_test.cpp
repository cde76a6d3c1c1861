// The samplers of the fast CPU backends choose what the reference chooses.
#include <cmath>

#include "tests/unit/kernels/cpu/fast_fixture.h"

namespace turnpike::kernels {
namespace {

using FastSampler = FastBackendTest;

constexpr std::int64_t kVocab = 5003;

// Flat to peaked: the logits' spread.
constexpr float kSpreads[] = {0.0F, 0.5F, 4.0F, 30.0F};

Matrix logits_of(float spread, std::uint64_t seed) {
    Matrix logits(1, kVocab, seed);
    for (float& value : logits.values) {
        const float cubed = value * value * value;  // few large ones
        value = spread * (cubed + 0.1F * value);
    }
    return logits;
}

SampledRow sample(Backend& backend, Matrix& logits, const SampleParams& params) {
    SampledRow row;
    backend.sample(logits.view(), std::span(&params, 1), kVocab - 3, std::span(&row, 1));
    return row;
}

TEST_P(FastSampler, ChoosesTheReferencesToken) {
    int num_drawn = 0;
    for (const float spread : kSpreads) {
        for (std::uint64_t seed = 1; seed <= 40; ++seed) {
            Matrix logits = logits_of(spread, seed);
            for (const float top_p : {1.0F, 0.95F, 0.3F, 0.0F}) {
                for (const float min_p : {0.0F, 0.2F}) {
                    SampleParams params;
                    params.temperature = seed % 3 == 0 ? 0.6F : 1.0F;
                    params.top_p = top_p;
                    params.min_p = min_p;
                    params.seed = seed * 0x123456789U;
                    params.position = static_cast<std::int32_t>(seed) * 17;
                    const SampledRow expected = sample(*reference_, logits, params);
                    const SampledRow got = sample(*fast_, logits, params);
                    ASSERT_EQ(got.token, expected.token)
                        << spread << " " << seed << " " << top_p << " " << min_p;
                    ASSERT_NEAR(got.logprob, expected.logprob, 1e-5);
                    ++num_drawn;
                }
            }
        }
    }
    EXPECT_EQ(num_drawn, 4 * 40 * 4 * 2);
}

TEST_P(FastSampler, TopKIsTheReferences) {
    for (const float spread : kSpreads) {
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
            Matrix logits = logits_of(spread, seed);
            for (const std::int32_t top_k : {1, 2, 40, 600, 4990, 5003}) {
                for (const float top_p : {1.0F, 0.7F}) {
                    SampleParams params;
                    params.temperature = 0.8F;
                    params.top_k = top_k;
                    params.top_p = top_p;
                    params.min_p = seed % 4 == 0 ? 0.05F : 0.0F;
                    params.seed = seed * 77;
                    ASSERT_EQ(sample(*fast_, logits, params).token,
                              sample(*reference_, logits, params).token)
                        << spread << " " << seed << " " << top_k << " " << top_p;
                }
            }
        }
    }
}

// Few distinct logits: the cut falls among thousands of equals.
TEST_P(FastSampler, EqualLogitsRankByToken) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Matrix logits = logits_of(4.0F, seed);
        for (float& value : logits.values) value = std::round(value);
        for (const std::int32_t top_k : {0, 100, 3000}) {
            for (const float top_p : {1.0F, 0.9F, 0.01F}) {
                SampleParams params;
                params.top_k = top_k;
                params.top_p = top_p;
                params.seed = seed;
                ASSERT_EQ(sample(*fast_, logits, params).token,
                          sample(*reference_, logits, params).token)
                    << seed << " " << top_k << " " << top_p;
            }
        }
    }
}

TEST_P(FastSampler, ColdAndHotAreTheReferences) {
    for (const float temperature : {0.01F, 0.1F, 2.0F, 100.0F}) {
        for (std::uint64_t seed = 1; seed <= 40; ++seed) {
            Matrix logits = logits_of(30.0F, seed);
            SampleParams params;
            params.temperature = temperature;
            params.top_p = seed % 2 == 0 ? 0.95F : 1.0F;
            params.seed = seed;
            ASSERT_EQ(sample(*fast_, logits, params).token,
                      sample(*reference_, logits, params).token)
                << temperature << " " << seed;
        }
    }
}

TEST_P(FastSampler, EditsRanksAndGreedyAreTheReferences) {
    const std::vector<SeenToken> seen{{7, 2}, {9, 0}};
    const std::vector<TokenBias> bias{{11, 3.0F}, {5, -100.0F}};
    std::vector<std::uint32_t> allowed((kVocab + 31) / 32, 0xAAAAAAAAU);
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        Matrix logits = logits_of(4.0F, seed);
        SampleParams params;
        params.temperature = seed % 2 == 0 ? 0.0F : 0.9F;
        params.top_p = 0.9F;
        params.top_k = seed % 3 == 0 ? 20 : 0;
        params.seed = seed;
        params.repetition_penalty = 1.2F;
        params.seen = seen;
        params.bias = bias;
        if (seed % 5 == 0) params.allowed = allowed;
        params.num_alternatives = 3;
        const SampledRow expected = sample(*reference_, logits, params);
        const SampledRow got = sample(*fast_, logits, params);
        ASSERT_EQ(got.token, expected.token) << seed;
        ASSERT_EQ(got.alternatives.size(), 3U);
        for (std::size_t i = 0; i < 3; ++i)
            EXPECT_EQ(got.alternatives[i].token, expected.alternatives[i].token);
        for (const TokenLogprob& entry : got.alternatives) {
            if (entry.token != got.token) continue;
            EXPECT_EQ(entry.logprob, got.logprob);
        }
    }
}

TEST_P(FastSampler, OneTokenOfManyIsEnough) {
    Matrix logits(1, kVocab);
    std::fill(logits.values.begin(), logits.values.end(), -INFINITY);
    logits.at(0, 4000) = -3.0F;
    SampleParams params;
    params.top_p = 0.95F;
    EXPECT_EQ(sample(*fast_, logits, params).token, 4000);
    params.top_p = 1.0F;
    EXPECT_EQ(sample(*fast_, logits, params).token, 4000);
}

INSTANTIATE_TEST_SUITE_P(Cpu, FastSampler, every_fast_isa(), isa_name);

}  // namespace
}  // namespace turnpike::kernels
