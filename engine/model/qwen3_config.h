// Qwen3Config: config.json of the dense Qwen3 models, checked, DeepSeek-R1-0528-Qwen3-8B among
// them. What this engine does not compute is refused here, by key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "kernels/api/attention.h"
#include "kernels/api/rope.h"

namespace turnpike::engine {

inline constexpr std::string_view kQwen3Architecture = "Qwen3ForCausalLM";

struct Qwen3Config {
    std::int64_t hidden_size = 0;
    std::int64_t num_layers = 0;
    std::int64_t intermediate_size = 0;
    std::int64_t vocab_size = 0;
    std::int64_t max_positions = 0;
    float rms_epsilon = 1e-6F;
    TokenId bos_token = 0;
    TokenId eos_token = 0;
    bool is_head_tied = false;  // the head is the embedding
    kernels::GqaShape attention;
    kernels::YarnParams yarn;
    // Multiplies cosines and sines. Without YaRN 1. With it, rope_scaling's attention_factor when
    // that is given; else (0.1 ln(factor) + 1) * attn_factor, attn_factor being 1 when absent. The
    // 8B's config carries the attn_factor that makes the product 1; implementations that do not
    // know the key run 1.139 instead, which setting attention_factor in config.json reproduces.
    double rope_magnitude = 1.0;
};

// file_name is for messages. Errors: kCorrupt for text that is no JSON object, kInvalidArgument for
// a missing key, a wrong type, a value out of range or a feature that is not supported.
Result<Qwen3Config> parse_qwen3_config(std::string_view json_text, const std::string& file_name);

}  // namespace turnpike::engine
