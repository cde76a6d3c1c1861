// Qwen3: what the config says, what is refused, and a small model through load, rows and cache.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/model/blueprint.h"
#include "engine/model/load.h"
#include "engine/model/qwen3_config.h"
#include "tests/support/small_model.h"

namespace turnpike::engine {
namespace {

nlohmann::json small_qwen3() {
    return nlohmann::json::parse(R"({
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
        "intermediate_size": 96, "vocab_size": 300, "hidden_act": "silu", "rms_norm_eps": 1e-06,
        "rope_theta": 1000000, "max_position_embeddings": 131072,
        "rope_scaling": {"rope_type": "yarn", "factor": 4.0,
            "original_max_position_embeddings": 32768, "attn_factor": 0.8782488562869419},
        "tie_word_embeddings": false, "attention_bias": false, "use_sliding_window": false,
        "sliding_window": null, "max_window_layers": 2, "bos_token_id": 0, "eos_token_id": 1})");
}

Result<Qwen3Config> parse(const nlohmann::json& json) {
    return parse_qwen3_config(json.dump(), "config.json");
}

TEST(Qwen3Config, ReadsItsShape) {
    const auto config = parse(small_qwen3());
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->attention.num_heads, 4);
    EXPECT_EQ(config->attention.num_kv_heads, 2);
    EXPECT_EQ(config->attention.cache_dim(), 128);
    EXPECT_FLOAT_EQ(config->attention.softmax_scale, 1.0F / std::sqrt(32.0F));
    EXPECT_FALSE(config->is_head_tied);
}

// The 8B's attn_factor undoes YaRN's magnitude; without the key, or when told, it is there.
TEST(Qwen3Config, AttnFactorScalesTheMagnitude) {
    nlohmann::json json = small_qwen3();
    EXPECT_NEAR(parse(json)->rope_magnitude, 1.0, 1e-12);
    json["rope_scaling"]["attention_factor"] = 1.25;
    EXPECT_EQ(parse(json)->rope_magnitude, 1.25);
    json["rope_scaling"].erase("attention_factor");
    json["rope_scaling"].erase("attn_factor");
    EXPECT_NEAR(parse(json)->rope_magnitude, 1.1386294361119891, 1e-12);
    json["rope_scaling"]["mscale"] = 0.7;
    json["rope_scaling"]["mscale_all_dim"] = 1.4;
    EXPECT_NEAR(parse(json)->rope_magnitude, 1.0970406052783923 / 1.1940812105567847, 1e-12);
    json["rope_scaling"] = {{"rope_type", "default"}};
    EXPECT_EQ(parse(json)->yarn.factor, 1.0);
    json.erase("rope_scaling");
    EXPECT_EQ(parse(json)->rope_magnitude, 1.0);
}

TEST(Qwen3Config, WhatIsLeftOutHasThePublishedMeaning) {
    nlohmann::json json = small_qwen3();
    json.erase("head_dim");  // 128, not hidden_size / num_attention_heads
    json.erase("tie_word_embeddings");
    json["layer_types"] = {"full_attention", "full_attention"};
    json["torch_dtype"] = "float16";
    const auto config = parse(json);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->attention.head_dim, 128);
    EXPECT_FALSE(config->is_head_tied);
    EXPECT_EQ(config->yarn.beta_fast, 32.0);
    EXPECT_EQ(config->yarn.beta_slow, 1.0);
}

TEST(Qwen3Config, RefusesByKey) {
    const std::pair<const char*, nlohmann::json> cases[] = {
        {"num_key_value_heads", 3},
        {"head_dim", 31},
        {"attention_bias", true},
        {"use_sliding_window", true},
        {"model_type", "qwen2"},
        {"rms_norm_eps", 0},
        {"rms_norm_eps", 1e300},
        {"rope_scaling",
         {{"rope_type", "yarn"},
          {"factor", 1e300},
          {"original_max_position_embeddings", 4096},
          {"attn_factor", 1e308}}},
        {"quantization_config", {{"quant_method", "fp8"}}},
        {"hidden_size", 0},
        {"intermediate_size", 1},
        {"layer_types", {"full_attention", "sliding_attention"}},
        {"layer_types", "full_attention"},
        {"rope_parameters", {{"rope_type", "default"}}},
        {"partial_rotary_factor", 0.5},
        {"rope_scaling", {{"rope_type", "linear"}, {"factor", 2}}},
        {"rope_scaling", {{"type", "dynamic"}, {"factor", 2}}},
        {"rope_scaling", {{"factor", 2}}},
    };
    for (const auto& [key, value] : cases) {
        nlohmann::json json = small_qwen3();
        json[key] = value;
        const auto config = parse(json);
        ASSERT_FALSE(config) << key;
        EXPECT_EQ(config.error().code, ErrorCode::kInvalidArgument);
        EXPECT_NE(config.error().message.find(key), std::string::npos) << config.error().message;
    }
}

TEST(Qwen3Model, LoadsAndItsPromptAndGeneratedRowsAreOneComputation) {
    const SmallModel model(small_qwen3());
    EXPECT_TRUE(check_checkpoint(model.dir()));
    RunnerOptions options;
    options.model_dir = model.dir();
    std::vector<TokenId> tokens;
    for (int i = 0; i < 70; ++i) tokens.push_back(i * 7 % 300);
    const auto prompt = compute_logits(options, tokens, 70);
    const auto mixed = compute_logits(options, tokens, 33);
    ASSERT_TRUE(prompt && mixed);
    EXPECT_EQ(*prompt, *mixed);
    options.with_draft_layer = true;
    EXPECT_EQ(compute_logits(options, tokens, 70).error().param, "with_draft_layer");
}

TEST(Qwen3Model, ATiedHeadIsTheEmbedding) {
    nlohmann::json json = small_qwen3();
    json["tie_word_embeddings"] = true;
    const auto blueprint = parse_blueprint(json.dump(), "config.json");
    ASSERT_TRUE(blueprint);
    for (const TensorSpec& spec : (*blueprint)->tensors()) EXPECT_NE(spec.name, "lm_head.weight");
    const SmallModel model(json);
    RunnerOptions options;
    options.model_dir = model.dir();
    EXPECT_TRUE(compute_logits(options, std::vector<TokenId>{1, 2, 3}, 3));
}

TEST(Blueprint, AnUnknownArchitectureIsNamedBesideTheKnownOnes) {
    for (const auto& names :
         {nlohmann::json::array({"LlamaForCausalLM"}), nlohmann::json("Qwen3ForCausalLM"),
          nlohmann::json::array({"Qwen3ForCausalLM", "DeepseekV3ForCausalLM"}), nlohmann::json()}) {
        nlohmann::json json = small_qwen3();
        json["architectures"] = names;
        const auto blueprint = parse_blueprint(json.dump(), "config.json");
        ASSERT_FALSE(blueprint);
        EXPECT_EQ(blueprint.error().param, "architectures");
        EXPECT_NE(blueprint.error().message.find("Qwen3ForCausalLM"), std::string::npos);
    }
}

// Draft rows: the layer loads beside its main model and does not change it.
TEST(DraftLayer, RunsBesideTheMainModel) {
    const SmallModel model;
    RunnerOptions options;
    options.isa = "scalar";
    options.model_dir = model.dir();
    std::vector<TokenId> tokens;
    for (int i = 0; i < 70; ++i) tokens.push_back(i * 7 % 300);
    const auto whole = compute_draft_logits(options, tokens, 70);
    const auto mixed = compute_draft_logits(options, tokens, 20);
    ASSERT_TRUE(whole && mixed);
    ASSERT_EQ(whole->size(), 69U * 300U);
    double largest = 0.0;
    for (std::size_t i = 0; i < whole->size(); ++i) {
        largest = std::max(largest, std::abs(static_cast<double>((*whole)[i] - (*mixed)[i])));
    }
    EXPECT_LT(largest, 1e-4);
    const auto plain = compute_logits(options, tokens, 70);
    options.with_draft_layer = true;
    const auto beside = compute_logits(options, tokens, 70);
    ASSERT_TRUE(plain && beside);
    EXPECT_EQ(*plain, *beside);
    EXPECT_EQ(compute_draft_logits(options, std::vector<TokenId>{1}, 1).error().param, "tokens");
}

TEST(DraftLayer, IsAskedOfAModelThatHasOne) {
    nlohmann::json json = small_config();
    json["num_nextn_predict_layers"] = 0;
    const SmallModel model(json);
    RunnerOptions options;
    options.model_dir = model.dir();
    const std::vector<TokenId> tokens{1, 2, 3};
    EXPECT_EQ(compute_draft_logits(options, tokens, 3).error().param, "with_draft_layer");
}

TEST(Numerics, QuantisedActivationsMoveLogitsALittle) {
    const SmallModel model;
    RunnerOptions options;
    options.model_dir = model.dir();
    const std::vector<TokenId> tokens{1, 2, 3, 4, 5, 6};
    const auto exact = compute_logits(options, tokens, 6);
    options.numerics = schema::Numerics::kW8A8Block;
    const auto coded = compute_logits(options, tokens, 6);
    ASSERT_TRUE(exact && coded);
    double largest = 0.0;
    for (std::size_t i = 0; i < exact->size(); ++i) {
        largest = std::max(largest, std::abs(static_cast<double>((*exact)[i] - (*coded)[i])));
    }
    EXPECT_GT(largest, 1e-4);
    EXPECT_LT(largest, 2.0);
}

}  // namespace
}  // namespace turnpike::engine
