// See qwen3_config.h. The bounds keep every product of sizes far inside 64 bits.
#include "engine/model/qwen3_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/model/json_reader.h"

namespace turnpike::engine {
namespace {

constexpr std::int64_t kMaxDim = 1 << 17;
constexpr std::int64_t kMaxLayers = 1024;
constexpr std::int64_t kMaxVocab = 1 << 21;
constexpr std::int64_t kMaxPositions = 1 << 30;

void check_fixed_features(JsonReader& reader) {
    reader.expect("architectures", nlohmann::json::array({std::string(kQwen3Architecture)}));
    reader.expect("model_type", "qwen3");
    reader.expect("hidden_act", "silu");
    reader.expect("attention_bias", false);
    reader.expect("use_sliding_window", false);
    if (reader.has("quantization_config")) {
        reader.fail("quantization_config", "quantised weights of this architecture are not run");
    }
}

void read_sizes(JsonReader& reader, Qwen3Config& config) {
    config.hidden_size = reader.integer("hidden_size", 1, kMaxDim);
    config.num_layers = reader.integer("num_hidden_layers", 1, kMaxLayers);
    config.intermediate_size = reader.integer("intermediate_size", 1, kMaxDim);
    config.vocab_size = reader.integer("vocab_size", 1, kMaxVocab);
    config.max_positions = reader.integer("max_position_embeddings", 1, kMaxPositions);
    const std::int64_t last_token = config.vocab_size - 1;
    config.bos_token = static_cast<TokenId>(reader.integer("bos_token_id", 0, last_token));
    config.eos_token = static_cast<TokenId>(reader.integer("eos_token_id", 0, last_token));
    config.is_head_tied = reader.boolean("tie_word_embeddings", false);
    config.rms_epsilon = reader.positive("rms_norm_eps");
}

void read_attention(JsonReader& reader, Qwen3Config& config) {
    kernels::GqaShape& shape = config.attention;
    shape.num_heads = reader.integer("num_attention_heads", 1, kMaxDim);
    shape.num_kv_heads = reader.integer("num_key_value_heads", 1, kMaxDim);
    shape.head_dim = reader.has("head_dim") ? reader.integer("head_dim", 2, kMaxDim)
                                            : config.hidden_size / shape.num_heads;
    if (shape.num_heads % shape.num_kv_heads != 0) {
        reader.fail("num_key_value_heads", "expected a divisor of num_attention_heads");
    }
    if (shape.head_dim < 2 || shape.head_dim % 2 != 0) {
        reader.fail("head_dim", "expected an even number of at least 2");
    }
    shape.softmax_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.head_dim)));
}

double optional_number(JsonReader& reader, std::string_view key, double fallback) {
    return reader.has(key) ? reader.number(key) : fallback;
}

void read_rope(JsonReader& reader, Qwen3Config& config) {
    config.yarn.dim = config.attention.head_dim;
    config.yarn.theta = reader.number("rope_theta");
    if (config.yarn.theta <= 1.0) reader.fail("rope_theta", "expected more than 1");
    if (!reader.has("rope_scaling")) return;
    JsonReader scaling = reader.section("rope_scaling");
    scaling.expect("type", "yarn");
    scaling.expect("rope_type", "yarn");
    if (!scaling.has("type") && !scaling.has("rope_type")) {
        scaling.fail("rope_type", "expected \"yarn\", found nothing");
    }
    config.yarn.factor = scaling.number("factor");
    config.yarn.beta_fast = optional_number(scaling, "beta_fast", 32.0);
    config.yarn.beta_slow = optional_number(scaling, "beta_slow", 1.0);
    config.yarn.original_max_positions =
        scaling.integer("original_max_position_embeddings", 1, kMaxPositions);
    const double attn_factor = optional_number(scaling, "attn_factor", 1.0);
    config.rope_magnitude = optional_number(
        scaling, "attention_factor", kernels::yarn_mscale(config.yarn.factor, 1.0) * attn_factor);
    if (config.yarn.factor < 1.0) scaling.fail("factor", "expected at least 1");
    if (config.yarn.beta_fast <= 0.0) scaling.fail("beta_fast", "expected more than 0");
    if (config.yarn.beta_slow <= 0.0) scaling.fail("beta_slow", "expected more than 0");
    if (config.rope_magnitude <= 0.0 || !std::isfinite(config.rope_magnitude)) {
        scaling.fail("attention_factor", "expected a number over 0, also as made of factor");
    }
}

}  // namespace

Result<Qwen3Config> parse_qwen3_config(std::string_view json_text, const std::string& file_name) {
    const auto json = parse_config_object(json_text, file_name);
    if (!json) return json.error();
    Status status;
    JsonReader reader(*json, file_name, status);
    Qwen3Config config;
    check_fixed_features(reader);
    read_sizes(reader, config);
    if (!status) return status.error();
    read_attention(reader, config);
    read_rope(reader, config);
    if (!status) return status.error();
    return config;
}

}  // namespace turnpike::engine
