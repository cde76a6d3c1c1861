// One model in several processes: the logits of every position are bitwise those of one, in both
// architectures, layouts and numerics, with the head sizes of the real models.
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/model/load.h"
#include "engine/parallel/shm_communicator.h"
#include "kernels/api/cpu.h"
#include "tests/support/rank_processes.h"
#include "tests/support/small_model.h"

namespace turnpike::engine {
namespace {

constexpr std::int64_t kNumPromptRows = 70;  // more than a block
constexpr std::size_t kHalfBytes = 1 << 16;

// R1's heads: of 192 rows, so that FP8 blocks straddle them. Eight of them, for eight segments.
nlohmann::json deepseek_config() {
    nlohmann::json config = small_config();
    config["num_attention_heads"] = config["num_key_value_heads"] = 8;
    config["qk_nope_head_dim"] = config["v_head_dim"] = 128;
    config["qk_rope_head_dim"] = 64;
    config["kv_lora_rank"] = 128;
    config["intermediate_size"] = 400;      // four segments, the last one short
    config["moe_intermediate_size"] = 192;  // two: of four ranks, two have none
    config["n_routed_experts"] = 12;
    config["vocab_size"] = 601;  // uneven
    return config;
}

nlohmann::json qwen3_config() {
    return nlohmann::json::parse(R"({
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 2,
        "head_dim": 128, "intermediate_size": 400, "vocab_size": 601, "hidden_act": "silu",
        "rms_norm_eps": 1e-06, "rope_theta": 1000000, "max_position_embeddings": 4096,
        "tie_word_embeddings": true, "attention_bias": false, "use_sliding_window": false,
        "sliding_window": null, "max_window_layers": 2, "bos_token_id": 0, "eos_token_id": 1})");
}

std::vector<TokenId> some_tokens() {
    std::vector<TokenId> tokens;
    for (int i = 0; i < 90; ++i) tokens.push_back(static_cast<TokenId>(i * 37 % 601));
    return tokens;
}

std::unique_ptr<ShmCommunicator> join(int fd, int rank) {
    ShmOptions options;
    options.rank = rank;
    auto joined = ShmCommunicator::join(fd, std::move(options));
    return joined ? std::move(*joined) : nullptr;
}

bool follows(int fd, int rank) {
    const auto communicator = join(fd, rank);
    RankLink link;
    link.communicator = communicator.get();
    const Status status = run_rank(link);
    if (!status) std::fprintf(stderr, "rank %d: %s\n", rank, status.error().message.c_str());
    return status.has_value();
}

using Compute = Result<std::vector<float>> (*)(const RunnerOptions&,
                                               std::span<const TokenId>,
                                               std::int64_t);

std::vector<float> on_ranks(RunnerOptions options, int num_ranks, Compute compute) {
    const auto memory = ShmRegion::create(num_ranks, kHalfBytes);
    EXPECT_TRUE(memory);
    test::ForkedRanks others(1, num_ranks, [&](int rank) { return follows(memory->get(), rank); });
    const auto communicator = join(memory->get(), 0);
    options.ranks.communicator = communicator.get();
    const auto values = compute(options, some_tokens(), kNumPromptRows);
    EXPECT_TRUE(values) << (values ? "" : values.error().message);
    EXPECT_TRUE(others.all_held());
    return values ? *values : std::vector<float>{};
}

// Bits, not values: a NaN would be equal to nothing.
bool is_same(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void expect_same_on_ranks(const RunnerOptions& options, Compute compute) {
    const auto expected = compute(options, some_tokens(), kNumPromptRows);
    ASSERT_TRUE(expected) << expected.error().message;
    for (const auto layout : {AttentionLayout::kTensorParallel, AttentionLayout::kDataParallel}) {
        for (const int num_ranks : {2, 4}) {
            RunnerOptions ranked = options;
            ranked.ranks.attention = layout;
            EXPECT_TRUE(is_same(on_ranks(ranked, num_ranks, compute), *expected))
                << num_ranks << " ranks, layout " << static_cast<int>(layout) << ", "
                << options.isa;
        }
    }
}

class Ranks : public testing::TestWithParam<schema::Numerics> {
  protected:
    RunnerOptions options_for(const SmallModel& model, kernels::CpuIsa isa) {
        RunnerOptions options;
        options.model_dir = model.dir();
        options.numerics = GetParam();
        options.isa = std::string(kernels::to_string(isa));
        return options;
    }
};

TEST_P(Ranks, DeepseekLogitsAreThoseOfOne) {
    const SmallModel model(deepseek_config());
    for (const auto isa : {kernels::CpuIsa::kScalar, kernels::detect_cpu_isa()})
        expect_same_on_ranks(options_for(model, isa), compute_logits);
}

TEST_P(Ranks, DraftLogitsAreThoseOfOne) {
    const SmallModel model(deepseek_config());
    expect_same_on_ranks(options_for(model, kernels::detect_cpu_isa()), compute_draft_logits);
}

TEST_P(Ranks, Qwen3LogitsAreThoseOfOne) {
    const SmallModel model(qwen3_config());
    for (const auto isa : {kernels::CpuIsa::kScalar, kernels::detect_cpu_isa()})
        expect_same_on_ranks(options_for(model, isa), compute_logits);
}

INSTANTIATE_TEST_SUITE_P(Numerics,
                         Ranks,
                         testing::Values(schema::Numerics::kW8A16, schema::Numerics::kW8A8Block));

TEST(RankFailures, ADivisionThatCannotBeIsRefusedOnEveryRank) {
    const SmallModel model;  // two heads, in units of eight
    const auto memory = ShmRegion::create(2, kHalfBytes);
    ASSERT_TRUE(memory);
    test::ForkedRanks others(1, 2, [&](int rank) {
        const auto communicator = join(memory->get(), rank);
        RankLink link;
        link.communicator = communicator.get();
        return !run_rank(link);
    });
    const auto communicator = join(memory->get(), 0);
    RunnerOptions options;
    options.model_dir = model.dir();
    options.kv_tokens = 64;
    options.ranks.communicator = communicator.get();
    const auto runner = load_runner(options);
    ASSERT_FALSE(runner);
    EXPECT_NE(runner.error().message.find("2 heads in units of 8"), std::string::npos);
    EXPECT_TRUE(others.all_held());
}

TEST(RankFailures, ARankThatCannotLoadTellsTheOthers) {
    const SmallModel model(deepseek_config());
    const auto memory = ShmRegion::create(2, kHalfBytes);
    ASSERT_TRUE(memory);
    test::ForkedRanks others(1, 2, [&](int rank) {
        join(memory->get(), rank)->abort("rank 1: the disk is gone");
        return true;
    });
    const auto communicator = join(memory->get(), 0);
    RunnerOptions options;
    options.model_dir = model.dir();
    options.kv_tokens = 64;
    options.ranks.communicator = communicator.get();
    const auto runner = load_runner(options);
    ASSERT_FALSE(runner);
    EXPECT_EQ(runner.error().message, "rank 1: the disk is gone");
    EXPECT_TRUE(others.all_held());
}

}  // namespace
}  // namespace turnpike::engine
