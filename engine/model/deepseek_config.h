// DeepseekConfig: config.json of DeepSeek-V3 and R1, checked. What this engine does not compute is
// refused here, by key, so that no checkpoint runs with a silently different meaning.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "kernels/api/attention.h"
#include "kernels/api/moe.h"
#include "kernels/api/rope.h"

namespace turnpike::engine {

inline constexpr std::string_view kDeepseekArchitecture = "DeepseekV3ForCausalLM";

struct DeepseekConfig {
    std::int64_t hidden_size = 0;
    std::int64_t num_layers = 0;
    std::int64_t num_dense_layers = 0;  // the first ones; the rest are MoE layers
    std::int64_t num_mtp_layers = 0;    // stored after the main layers
    std::int64_t vocab_size = 0;
    std::int64_t max_positions = 0;
    float rms_epsilon = 1e-6F;
    TokenId bos_token = 0;
    TokenId eos_token = 0;
    bool is_fp8 = false;  // linears stored as FP8 with 128 x 128 scales, else BF16 or F32
    bool has_fp8_head =
        false;  // the output head too, which the published checkpoints leave in BF16

    std::int64_t q_lora_rank = 0;  // 0 = queries straight from the hidden state
    kernels::MlaShape mla;         // softmax_scale holds YaRN's mscale^2
    kernels::YarnParams yarn;

    std::int64_t intermediate_size = 0;
    std::int64_t moe_intermediate_size = 0;
    std::int64_t num_shared_experts = 0;  // one MLP of that many times the width
    kernels::RouterShape router;

    bool is_moe_layer(std::int64_t layer) const { return layer >= num_dense_layers; }
};

// file_name is for messages. Errors: kCorrupt for text that is no JSON object, kInvalidArgument for
// a missing key, a wrong type, a value out of range or a feature that is not supported.
Result<DeepseekConfig> parse_deepseek_config(std::string_view json_text,
                                             const std::string& file_name);

}  // namespace turnpike::engine
