// See qwen3_config.h. The bounds keep every product of sizes far inside 64 bits.
#include "engine/model/qwen3_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/model/json_reader.h"
#include "engine/model/rope_config.h"

namespace turnpike::engine {
namespace {

constexpr std::int64_t kMaxDim = 1 << 17;
constexpr std::int64_t kMinRows = 2;  // of a matrix: one row reads as a vector
constexpr std::int64_t kMaxLayers = 1024;
constexpr std::int64_t kMaxVocab = 1 << 21;
constexpr std::int64_t kMaxPositions = 1 << 30;
constexpr std::int64_t kHeadDim = 128;  // where the config leaves it out, whatever the hidden size

void check_fixed_features(JsonReader& reader) {
    reader.expect("architectures", nlohmann::json::array({std::string(kQwen3Architecture)}));
    reader.expect("model_type", "qwen3");
    reader.expect("hidden_act", "silu");
    reader.expect("attention_bias", false);
    reader.expect("use_sliding_window", false);
    reader.expect_each("layer_types", "full_attention");
    if (reader.has("quantization_config")) {
        reader.fail("quantization_config", "quantised weights of this architecture are not run");
    }
}

void read_sizes(JsonReader& reader, Qwen3Config& config) {
    config.hidden_size = reader.integer("hidden_size", kMinRows, kMaxDim);
    config.num_layers = reader.integer("num_hidden_layers", 1, kMaxLayers);
    config.intermediate_size = reader.integer("intermediate_size", kMinRows, kMaxDim);
    config.vocab_size = reader.integer("vocab_size", kMinRows, kMaxVocab);
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
    shape.head_dim = reader.has("head_dim") ? reader.integer("head_dim", 2, kMaxDim) : kHeadDim;
    if (shape.num_heads % shape.num_kv_heads != 0) {
        reader.fail("num_key_value_heads", "expected a divisor of num_attention_heads");
    }
    if (shape.head_dim % 2 != 0) reader.fail("head_dim", "expected an even number");
    shape.softmax_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.head_dim)));
}

// What cosines and sines are multiplied with, as transformers derives it; attn_factor, which it
// does not know, is the published 8B's own.
double rope_magnitude(JsonReader& scaling, double factor) {
    if (scaling.has("attention_factor")) return scaling.number("attention_factor");
    const double attn_factor = optional_number(scaling, "attn_factor", 1.0);
    const double mscale = optional_number(scaling, "mscale", 0.0);
    const double mscale_all_dim = optional_number(scaling, "mscale_all_dim", 0.0);
    if (mscale == 0.0 || mscale_all_dim == 0.0) {
        return kernels::yarn_mscale(factor, 1.0) * attn_factor;
    }
    return kernels::yarn_mscale(factor, mscale) / kernels::yarn_mscale(factor, mscale_all_dim) *
           attn_factor;
}

void read_positions(JsonReader& reader, Qwen3Config& config) {
    config.yarn.dim = config.attention.head_dim;
    auto scaling = read_rope(reader, config.yarn);
    if (!scaling) return;
    read_yarn(*scaling, config.yarn);
    config.rope_magnitude = rope_magnitude(*scaling, config.yarn.factor);
    if (!(config.rope_magnitude > 0.0) || !std::isfinite(config.rope_magnitude)) {
        scaling->fail("attention_factor", "expected a number over 0, also as made of factor");
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
    read_positions(reader, config);
    if (!status) return status.error();
    return config;
}

}  // namespace turnpike::engine
