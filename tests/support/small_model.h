// A small config and a checkpoint made of it in a folder of its own.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/model/synth.h"
#include "tests/support/temp_dir.h"

namespace turnpike::engine {

// Two layers, one of them MoE, one MTP layer; small enough to be made in a few milliseconds.
inline nlohmann::json small_config() {
    return nlohmann::json::parse(R"({
        "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3",
        "hidden_size": 128, "num_hidden_layers": 2, "first_k_dense_replace": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "q_lora_rank": 64, "kv_lora_rank": 64,
        "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 32, "intermediate_size": 160,
        "moe_intermediate_size": 64, "n_routed_experts": 8, "n_shared_experts": 1,
        "num_experts_per_tok": 2, "n_group": 4, "topk_group": 2, "norm_topk_prob": true,
        "routed_scaling_factor": 2.5, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
        "moe_layer_freq": 1, "hidden_act": "silu", "rms_norm_eps": 1e-06, "rope_theta": 10000,
        "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096,
            "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0},
        "max_position_embeddings": 163840, "attention_bias": false, "tie_word_embeddings": false,
        "num_nextn_predict_layers": 1, "vocab_size": 300, "bos_token_id": 0, "eos_token_id": 1,
        "quantization_config": {"quant_method": "fp8", "fmt": "e4m3",
            "activation_scheme": "dynamic", "weight_block_size": [128, 128]}})");
}

inline std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void write_file(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

class SmallModel {
  public:
    explicit SmallModel(const nlohmann::json& config = small_config(),
                        std::uint64_t seed = 1,
                        int num_shards = 3) {
        write_file(path("in.json"), config.dump());
        SynthOptions options;
        options.config_path = path("in.json");
        options.seed = seed;
        options.out_dir = path("model");
        options.num_shards = num_shards;
        const Status status = synthesize_checkpoint(options);
        EXPECT_TRUE(status) << status.error().message;
    }

    std::string dir() const { return path("model"); }

    std::string file(const std::string& name) const { return dir() + "/" + name; }

  private:
    std::string path(const std::string& name) const { return temp_.file(name); }

    test::TempDir temp_;
};

}  // namespace turnpike::engine
