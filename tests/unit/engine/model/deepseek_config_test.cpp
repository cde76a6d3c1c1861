// config.json: what is read, and that each unsupported or broken value is refused by its key.
#include "engine/model/deepseek_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/model/blueprint.h"
#include "tests/support/small_model.h"

namespace turnpike::engine {
namespace {

Result<DeepseekConfig> parse(const nlohmann::json& json) {
    return parse_deepseek_config(json.dump(), "config.json");
}

TEST(DeepseekConfig, ReadsTheTinyModel) {
    const auto config =
        parse_deepseek_config(read_file(std::string(TURNPIKE_SOURCE_DIR) +
                                        "/config/files/models/tiny-random/config.json"),
                              "config.json");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->hidden_size, 256);
    EXPECT_EQ(config->num_layers, 4);
    EXPECT_EQ(config->num_dense_layers, 1);
    EXPECT_EQ(config->num_mtp_layers, 1);
    EXPECT_EQ(config->vocab_size, 2048);
    EXPECT_EQ(config->max_positions, 163840);
    EXPECT_EQ(config->q_lora_rank, 128);
    EXPECT_EQ(config->mla.query_dim(), 192);
    EXPECT_EQ(config->mla.cache_dim(), 192);
    EXPECT_NEAR(config->mla.softmax_scale, 0.1352337788608801, 1e-8);
    EXPECT_EQ(config->router.num_experts, 16);
    EXPECT_FLOAT_EQ(config->router.scale, 2.5F);
    EXPECT_TRUE(config->is_fp8);
    EXPECT_EQ(config->bos_token, 0);
    EXPECT_EQ(config->eos_token, 1);
    EXPECT_FLOAT_EQ(config->rms_epsilon, 1e-6F);
}

TEST(DeepseekConfig, AbsentPartsHaveTheirMeaning) {
    nlohmann::json json = small_config();
    json["q_lora_rank"] = nullptr;
    json["rope_scaling"] = nullptr;
    json.erase("quantization_config");
    json.erase("num_nextn_predict_layers");
    const auto config = parse(json);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->q_lora_rank, 0);
    EXPECT_FALSE(config->is_fp8);
    EXPECT_EQ(config->num_mtp_layers, 0);
    EXPECT_EQ(config->yarn.factor, 1.0);
    EXPECT_FLOAT_EQ(config->mla.softmax_scale, 1.0F / std::sqrt(48.0F));
}

// As transformers' quantiser reads the key.
TEST(DeepseekConfig, TheHeadIsFp8WhereAListDoesNotExcludeIt) {
    nlohmann::json json = small_config();
    EXPECT_FALSE(parse(json)->has_fp8_head);
    nlohmann::json& excluded = json["quantization_config"]["modules_to_not_convert"];
    excluded = nlohmann::json::array({"model.layers.0.mlp.gate", "lm_head"});
    EXPECT_FALSE(parse(json)->has_fp8_head);
    excluded = nlohmann::json::array();
    EXPECT_TRUE(parse(json)->has_fp8_head);
    excluded = "lm_head";
    const auto refused = parse(json);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message,
                testing::HasSubstr("modules_to_not_convert: expected an array of strings"));
    json.erase("quantization_config");
    EXPECT_FALSE(parse(json)->has_fp8_head);
}

TEST(DeepseekConfig, NumbersMayBeWrittenEitherWay) {
    nlohmann::json json = small_config();
    json["rope_scaling"]["factor"] = 40.0;
    json["rope_theta"] = 10000.0;
    json["hidden_size"] = 128.0;
    const auto config = parse(json);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->hidden_size, 128);
}

TEST(DeepseekConfig, NewerFilesWriteRopeType) {
    nlohmann::json json = small_config();
    json["rope_scaling"].erase("type");
    json["rope_scaling"]["rope_type"] = "yarn";
    EXPECT_TRUE(parse(json));
}

struct Refusal {
    const char* name;
    const char* pointer;  // JSON pointer of the changed value
    const char* value;    // JSON text; empty removes the key
    const char* key;      // the error's param
};

class DeepseekConfigRefusal : public testing::TestWithParam<Refusal> {};

TEST_P(DeepseekConfigRefusal, NamesTheKey) {
    nlohmann::json json = small_config();
    const nlohmann::json::json_pointer pointer(GetParam().pointer);
    if (*GetParam().value == '\0') {
        json.at(pointer.parent_pointer()).erase(pointer.back());
    } else {
        json[pointer] = nlohmann::json::parse(GetParam().value);
    }
    const auto config = parse(json);
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(config.error().param, GetParam().key);
    EXPECT_NE(config.error().message.find("config.json: "), std::string::npos);
}

constexpr Refusal kRefusals[] = {
    {"OtherArchitecture", "/architectures", R"(["Qwen3ForCausalLM"])", "architectures"},
    {"NoArchitecture", "/architectures", "", "architectures"},
    {"ArchitectureIsText", "/architectures", R"("DeepseekV3ForCausalLM")", "architectures"},
    {"OtherType", "/model_type", R"("deepseek_v2")", "model_type"},
    {"OtherActivation", "/hidden_act", R"("gelu")", "hidden_act"},
    {"OtherScoring", "/scoring_func", R"("softmax")", "scoring_func"},
    {"OtherSelection", "/topk_method", R"("greedy")", "topk_method"},
    {"TiedHead", "/tie_word_embeddings", "true", "tie_word_embeddings"},
    {"AttentionBias", "/attention_bias", "true", "attention_bias"},
    {"EverySecondLayer", "/moe_layer_freq", "2", "moe_layer_freq"},
    {"HalfSplitRotation", "/rope_interleave", "false", "rope_interleave"},
    {"OtherQuantisation", "/quantization_config/quant_method", R"("awq")", "quant_method"},
    {"NoQuantisation", "/quantization_config/quant_method", "", "quant_method"},
    {"OtherFormat", "/quantization_config/fmt", R"("e5m2")", "fmt"},
    {"OtherBlocks", "/quantization_config/weight_block_size", "[64, 64]", "weight_block_size"},
    {"PowerOfTwoScales", "/quantization_config/scale_fmt", R"("ue8m0")", "scale_fmt"},
    {"OtherRopeScaling", "/rope_scaling/type", R"("linear")", "type"},
    {"NoRopeScalingType", "/rope_scaling/type", "", "type"},
    {"DynamicRopeScaling", "/rope_scaling/type", R"("dynamic")", "type"},
    {"NewerRopeForm", "/rope_parameters", R"({"rope_type": "default"})", "rope_parameters"},
    {"PartialRotation", "/partial_rotary_factor", "0.5", "partial_rotary_factor"},
    {"RampNotTruncated", "/rope_scaling/truncate", "false", "truncate"},
    {"MagnitudeBesideMscale", "/rope_scaling/attention_factor", "1.1", "attention_factor"},
    {"NoMscale", "/rope_scaling/mscale_all_dim", "0", "mscale_all_dim"},
    {"NoSharedExpert", "/n_shared_experts", "0", "n_shared_experts"},
    {"ExpertsOneWide", "/moe_intermediate_size", "1", "moe_intermediate_size"},
    {"SparserExperts", "/moe_layer_freq", "2", "moe_layer_freq"},
    {"BiasedAttention", "/attention_bias", "true", "attention_bias"},
    {"OtherMscale", "/rope_scaling/mscale", "0.7", "mscale"},
    {"ShrinkingFactor", "/rope_scaling/factor", "0.5", "factor"},
    {"NoBeta", "/rope_scaling/beta_fast", "0", "beta_fast"},
    {"RopeScalingIsText", "/rope_scaling", R"("yarn")", "rope_scaling"},
    {"NoHiddenSize", "/hidden_size", "", "hidden_size"},
    {"HiddenSizeIsText", "/hidden_size", R"("128")", "hidden_size"},
    {"FractionalHiddenSize", "/hidden_size", "128.5", "hidden_size"},
    {"ZeroHiddenSize", "/hidden_size", "0", "hidden_size"},
    {"HugeHiddenSize", "/hidden_size", "1e18", "hidden_size"},
    {"NegativeLayers", "/num_hidden_layers", "-1", "num_hidden_layers"},
    {"OddRotation", "/qk_rope_head_dim", "15", "qk_rope_head_dim"},
    {"GroupedQueries", "/num_key_value_heads", "1", "num_key_value_heads"},
    {"UnequalGroups", "/n_group", "3", "n_group"},
    {"GroupsOfOne", "/n_group", "8", "n_group"},
    {"MoreKeptThanGroups", "/topk_group", "5", "topk_group"},
    {"MoreExpertsThanKept", "/num_experts_per_tok", "5", "num_experts_per_tok"},
    {"EosOutsideTheVocabulary", "/eos_token_id", "300", "eos_token_id"},
    {"NoTheta", "/rope_theta", "1", "rope_theta"},
    {"NoEpsilon", "/rms_norm_eps", "0", "rms_norm_eps"},
    {"EpsilonBeyondFloats", "/rms_norm_eps", "1e300", "rms_norm_eps"},
    {"EpsilonBelowFloats", "/rms_norm_eps", "1e-60", "rms_norm_eps"},
    {"ScaleBeyondFloats", "/routed_scaling_factor", "1e300", "routed_scaling_factor"},
    {"NegativeScale", "/routed_scaling_factor", "-1", "routed_scaling_factor"},
    {"EpsilonIsText", "/rms_norm_eps", R"("1e-6")", "rms_norm_eps"},
    {"NormTopkIsNumber", "/norm_topk_prob", "1", "norm_topk_prob"},
};

INSTANTIATE_TEST_SUITE_P(Keys,
                         DeepseekConfigRefusal,
                         testing::ValuesIn(kRefusals),
                         [](const auto& test_case) { return test_case.param.name; });

TEST(DeepseekConfig, RefusesTextThatIsNoObject) {
    const std::string deep(100, '[');
    for (const char* text : {"", "[]", "{", "null", "\xff", deep.c_str()}) {
        const auto config = parse_deepseek_config(text, "config.json");
        ASSERT_FALSE(config) << text;
        EXPECT_EQ(config.error().code, ErrorCode::kCorrupt);
    }
}

TEST(DeepseekConfig, AMissingFileIsNotFound) {
    const auto config = load_blueprint("/nonexistent/config.json");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().code, ErrorCode::kNotFound);
    EXPECT_NE(config.error().message.find("/nonexistent/config.json"), std::string::npos);
}

TEST(DeepseekConfig, RefusesAnInfiniteSoftmaxScale) {
    nlohmann::json json = small_config();
    json["rope_scaling"]["mscale"] = json["rope_scaling"]["mscale_all_dim"] = 1e200;
    const auto config = parse(json);
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().param, "rope_scaling");
}

}  // namespace
}  // namespace turnpike::engine
