// Sampling on the device against the reference: the same token, logprobs and alternatives.
#include "tests/unit/kernels/cuda/cuda_fixture.h"

namespace turnpike::kernels {
namespace {

using CudaSampler = CudaTest;

// Rows of `count` sampling parameters that take every filter and edit in turn.
struct Rows {
    Rows(std::int64_t num_tokens, std::size_t count, std::uint64_t seed)
        : words((static_cast<std::size_t>(num_tokens) + 31) / 32) {
        std::mt19937_64 random(seed);
        for (std::uint32_t& word : words) word = static_cast<std::uint32_t>(random());
        words[0] |= 1;
        for (std::int32_t i = 0; i < 40; ++i) {
            seen.push_back({i * 7 % static_cast<std::int32_t>(num_tokens), i % 3});
            bias.push_back({(i * 5 + 1) % static_cast<std::int32_t>(num_tokens),
                            0.1F * static_cast<float>(i - 20)});
        }
        // Each token once.
        seen.resize(std::min<std::size_t>(seen.size(), static_cast<std::size_t>(num_tokens) / 7));
        bias.resize(std::min<std::size_t>(bias.size(), static_cast<std::size_t>(num_tokens) / 5));
        for (std::size_t i = 0; i < count; ++i) {
            SampleParams row;
            row.seed = random();
            row.position = static_cast<std::int32_t>(i * 13);
            row.choice_index = static_cast<std::int32_t>(i % 3);
            row.temperature = i % 5 == 0 ? 0.0F : 0.2F + 0.3F * static_cast<float>(i % 4);
            if (i % 3 == 1) row.top_p = 0.95F;
            if (i % 7 == 2) row.top_p = 0.3F;
            if (i % 4 == 2) row.top_k = 1 + static_cast<std::int32_t>(i);
            if (i % 6 == 3) row.min_p = 0.05F;
            if (i % 8 == 4) {
                row.repetition_penalty = 1.3F;
                row.presence_penalty = 0.4F;
                row.frequency_penalty = 0.2F;
                row.seen = seen;
            }
            if (i % 8 == 5) row.bias = bias;
            if (i % 8 == 6) row.allowed = words;
            row.num_alternatives = static_cast<std::int32_t>(i % 9 == 7 ? 20 : 0);
            params.push_back(row);
        }
    }

    std::vector<std::uint32_t> words;
    std::vector<SeenToken> seen;
    std::vector<TokenBias> bias;
    std::vector<SampleParams> params;
};

TEST_F(CudaSampler, TokensAndLogprobsAreTheReferences) {
    for (const auto& [num_tokens, cols] : {std::pair{129280, 129280}, {500, 512}, {40, 40}}) {
        constexpr std::size_t kRows = 64;
        const Rows rows(num_tokens, kRows, next_seed());
        Matrix logits(kRows, cols, next_seed());
        for (float& value : logits.values) value *= 12.0F;
        // Equal logits: ties go to the lower token.
        for (std::int64_t c = 0; c < cols; ++c) logits.at(10, c) = 1.5F;
        DeviceMatrix on_device(*cuda_, logits);
        std::vector<SampledRow> expected(kRows);
        std::vector<SampledRow> got(kRows);
        reference_->sample(logits.view(), rows.params, num_tokens, expected);
        cuda_->sample(on_device.view(), rows.params, num_tokens, got);
        for (std::size_t i = 0; i < kRows; ++i) {
            EXPECT_EQ(got[i].token, expected[i].token) << num_tokens << " " << i << " " << note();
            EXPECT_NEAR(got[i].logprob, expected[i].logprob, 1e-4);
            ASSERT_EQ(got[i].alternatives.size(), expected[i].alternatives.size());
            for (std::size_t a = 0; a < got[i].alternatives.size(); ++a) {
                EXPECT_EQ(got[i].alternatives[a].token, expected[i].alternatives[a].token);
                EXPECT_NEAR(got[i].alternatives[a].logprob, expected[i].alternatives[a].logprob,
                            1e-4);
            }
        }
    }
}

}  // namespace
}  // namespace turnpike::kernels
