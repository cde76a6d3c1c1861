// See deepseek_config.h. The bounds keep every product of sizes far inside 64 bits; the largest
// model of the family has hidden 7168, 61 layers, 256 experts and 129,280 tokens.
#include "engine/model/deepseek_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/model/json_reader.h"
#include "engine/model/rope_config.h"

namespace turnpike::engine {
namespace {

constexpr std::int64_t kMaxDim = 1 << 17;
constexpr std::int64_t kMinRows = 2;  // of a matrix: one row reads as a vector
constexpr std::int64_t kMaxLayers = 1024;
constexpr std::int64_t kMaxVocab = 1 << 21;
constexpr std::int64_t kMaxPositions = 1 << 30;

void check_architecture(const nlohmann::json& json, JsonReader& reader) {
    const auto it = json.find("architectures");
    const bool is_known = it != json.end() && it->is_array() && it->size() == 1 &&
                          it->front() == kDeepseekArchitecture;
    if (!is_known) {
        const std::string found = it == json.end() ? "nothing" : excerpt(it->dump());
        reader.fail("architectures", "this engine runs [\"" + std::string(kDeepseekArchitecture) +
                                         "\"], found " + found);
    }
    reader.expect("model_type", "deepseek_v3");
}

void check_fixed_features(JsonReader& reader) {
    reader.expect("hidden_act", "silu");
    reader.expect("scoring_func", "sigmoid");
    reader.expect("topk_method", "noaux_tc");
    reader.expect("moe_layer_freq", 1);
    reader.expect("attention_bias", false);
    reader.expect("tie_word_embeddings", false);
    reader.expect("rope_interleave", true);
}

// transformers' quantiser leaves out the head unless it is given a list that does not name it.
bool names_head(JsonReader& quantization) {
    constexpr std::string_view kKey = "modules_to_not_convert";
    if (!quantization.has(kKey)) return true;
    const std::vector<std::string> names = quantization.texts(kKey);
    return std::find(names.begin(), names.end(), "lm_head") != names.end();
}

void read_quantization(JsonReader& reader, DeepseekConfig& config) {
    if (!reader.has("quantization_config")) return;
    JsonReader quantization = reader.section("quantization_config");
    quantization.expect("quant_method", "fp8");
    quantization.expect("fmt", "e4m3");
    quantization.expect("activation_scheme", "dynamic");
    quantization.expect("weight_block_size", nlohmann::json::array({128, 128}));
    // Power-of-two scales belong to other activation numerics than the two that exist here.
    quantization.expect("scale_fmt", "float");
    if (!quantization.has("quant_method")) {
        quantization.fail("quant_method", "expected \"fp8\", found nothing");
    }
    config.is_fp8 = true;
    config.has_fp8_head = !names_head(quantization);
}

void read_attention(JsonReader& reader, DeepseekConfig& config) {
    config.mla.num_heads = reader.integer("num_attention_heads", 1, kMaxDim);
    if (reader.has("num_key_value_heads")) {
        reader.expect("num_key_value_heads", config.mla.num_heads);
    }
    if (reader.has("q_lora_rank"))
        config.q_lora_rank = reader.integer("q_lora_rank", kMinRows, kMaxDim);
    config.mla.latent_dim = reader.integer("kv_lora_rank", 1, kMaxDim);
    config.mla.nope_dim = reader.integer("qk_nope_head_dim", 1, kMaxDim);
    config.mla.rope_dim = reader.integer("qk_rope_head_dim", 2, kMaxDim);
    config.mla.v_dim = reader.integer("v_head_dim", 1, kMaxDim);
    if (config.mla.rope_dim % 2 != 0) {
        reader.fail("qk_rope_head_dim", "expected an even number, found an odd one");
    }
}

// The rotary frequencies, and mscale for the softmax scale (1 without YaRN).
double read_positions(JsonReader& reader, DeepseekConfig& config) {
    config.yarn.dim = config.mla.rope_dim;
    auto scaling = read_rope(reader, config.yarn);
    if (!scaling) return 1.0;
    read_yarn(*scaling, config.yarn);
    const double mscale = scaling->number("mscale");
    const double mscale_all_dim = scaling->number("mscale_all_dim");
    if (mscale_all_dim <= 0.0) scaling->fail("mscale_all_dim", "expected more than 0");
    // Their ratio would scale the rotated halves alone; no published checkpoint does that.
    if (mscale != mscale_all_dim) scaling->fail("mscale", "expected the value of mscale_all_dim");
    scaling->expect("attention_factor", 1.0);  // would scale them too
    return kernels::yarn_mscale(config.yarn.factor, mscale_all_dim);
}

void check_router(JsonReader& reader, const kernels::RouterShape& router) {
    const std::int64_t group_size = router.num_experts / router.num_groups;
    if (router.num_experts % router.num_groups != 0 || group_size < 2) {
        reader.fail("n_group", "expected groups of equally many experts, two or more each");
    }
    if (router.num_kept_groups > router.num_groups) {
        reader.fail("topk_group", "expected at most n_group");
    }
    if (router.num_chosen > router.num_kept_groups * group_size) {
        reader.fail("num_experts_per_tok", "expected at most the experts of topk_group groups");
    }
}

void read_moe(JsonReader& reader, DeepseekConfig& config) {
    config.num_dense_layers = reader.integer("first_k_dense_replace", 0, config.num_layers);
    if (config.num_dense_layers == config.num_layers && config.num_mtp_layers == 0) return;
    config.moe_intermediate_size = reader.integer("moe_intermediate_size", kMinRows, kMaxDim);
    config.num_shared_experts = reader.integer("n_shared_experts", 1, 64);
    config.router.num_experts = reader.integer("n_routed_experts", 2, 1 << 14);
    config.router.num_groups = reader.integer("n_group", 1, config.router.num_experts);
    config.router.num_kept_groups = reader.integer("topk_group", 1, config.router.num_experts);
    config.router.num_chosen = reader.integer("num_experts_per_tok", 1, config.router.num_experts);
    config.router.is_normalised = reader.boolean("norm_topk_prob", true);
    config.router.scale = reader.positive("routed_scaling_factor");
    check_router(reader, config.router);
}

void read_sizes(JsonReader& reader, DeepseekConfig& config) {
    config.hidden_size = reader.integer("hidden_size", kMinRows, kMaxDim);
    config.num_layers = reader.integer("num_hidden_layers", 1, kMaxLayers);
    if (reader.has("num_nextn_predict_layers")) {
        config.num_mtp_layers = reader.integer("num_nextn_predict_layers", 0, 16);
    }
    config.intermediate_size = reader.integer("intermediate_size", kMinRows, kMaxDim);
    config.vocab_size = reader.integer("vocab_size", kMinRows, kMaxVocab);
    config.max_positions = reader.integer("max_position_embeddings", 1, kMaxPositions);
    const std::int64_t last_token = config.vocab_size - 1;
    config.bos_token = static_cast<TokenId>(reader.integer("bos_token_id", 0, last_token));
    config.eos_token = static_cast<TokenId>(reader.integer("eos_token_id", 0, last_token));
    config.rms_epsilon = reader.positive("rms_norm_eps");
}

}  // namespace

Result<DeepseekConfig> parse_deepseek_config(std::string_view json_text,
                                             const std::string& file_name) {
    const auto json = parse_config_object(json_text, file_name);
    if (!json) return json.error();
    Status status;
    JsonReader reader(*json, file_name, status);
    DeepseekConfig config;
    check_architecture(*json, reader);
    check_fixed_features(reader);
    read_quantization(reader, config);
    read_sizes(reader, config);
    read_attention(reader, config);
    const double mscale = read_positions(reader, config);
    read_moe(reader, config);
    const double query_dim = static_cast<double>(config.mla.query_dim());
    config.mla.softmax_scale = static_cast<float>(mscale * mscale / std::sqrt(query_dim));
    if (!std::isfinite(config.mla.softmax_scale) || config.mla.softmax_scale <= 0.0F) {
        reader.fail("rope_scaling",
                    "factor and mscale make a softmax scale that is no number over 0");
    }
    if (!status) return status.error();
    return config;
}

}  // namespace turnpike::engine
