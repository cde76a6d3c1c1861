// See qwen3_blueprint.h. Names and shapes as in the published checkpoints.
#include "engine/model/qwen3_blueprint.h"

#include "engine/model/qwen3_model.h"

namespace turnpike::engine {
namespace {

using Specs = std::vector<TensorSpec>;

void add_norm(std::string name, std::int64_t size, Specs& specs) {
    specs.push_back({std::move(name), TensorKind::kNorm, {size}, true, Spread::kReplicated});
}

void add_layer(const Qwen3Config& config, const std::string& prefix, Specs& specs) {
    const kernels::GqaShape& shape = config.attention;
    const std::int64_t hidden = config.hidden_size;
    const auto add = [&](const std::string& name, std::int64_t rows, std::int64_t cols,
                         Spread spread) {
        add_linear_tensors(prefix + name, rows, cols, false, spread, specs);
    };
    add_norm(prefix + "input_layernorm.weight", hidden, specs);
    add("self_attn.q_proj.weight", shape.query_width(), hidden, Spread::kAttention);
    add("self_attn.k_proj.weight", shape.kv_width(), hidden, Spread::kAttention);
    add("self_attn.v_proj.weight", shape.kv_width(), hidden, Spread::kAttention);
    add("self_attn.o_proj.weight", hidden, shape.query_width(), Spread::kAttention);
    add_norm(prefix + "self_attn.q_norm.weight", shape.head_dim, specs);
    add_norm(prefix + "self_attn.k_norm.weight", shape.head_dim, specs);
    add_norm(prefix + "post_attention_layernorm.weight", hidden, specs);
    add("mlp.gate_proj.weight", config.intermediate_size, hidden, Spread::kSplit);
    add("mlp.up_proj.weight", config.intermediate_size, hidden, Spread::kSplit);
    add("mlp.down_proj.weight", hidden, config.intermediate_size, Spread::kSplit);
}

class Qwen3Blueprint final : public Blueprint {
  public:
    explicit Qwen3Blueprint(const Qwen3Config& config) : config_(config) {}

    ModelInfo info() const override { return qwen3_info(config_); }

    ServingShape serving_shape() const override {
        const kernels::GqaShape& shape = config_.attention;
        return {shape.num_heads, 1, shape.num_kv_heads, config_.num_layers * shape.cache_dim(),
                shape.head_dim,  0, config_.vocab_size};
    }

    std::vector<TensorSpec> tensors() const override {
        Specs specs;
        const std::vector<std::int64_t> table{config_.vocab_size, config_.hidden_size};
        specs.push_back({"model.embed_tokens.weight", TensorKind::kEmbedding, table});
        for (std::int64_t i = 0; i < config_.num_layers; ++i) {
            add_layer(config_, "model.layers." + std::to_string(i) + ".", specs);
        }
        add_norm("model.norm.weight", config_.hidden_size, specs);
        if (!config_.is_head_tied) specs.push_back({"lm_head.weight", TensorKind::kHead, table});
        return specs;
    }

    std::int64_t hidden_size() const override { return config_.hidden_size; }

    std::int64_t num_main_layers() const override { return config_.num_layers; }

    Result<std::unique_ptr<Model>> load(const Checkpoint& checkpoint,
                                        RankOps ranks,
                                        bool with_draft_layer) const override {
        CHECK(!with_draft_layer);  // info() has none
        return Qwen3Model::load(config_, checkpoint, std::move(ranks));
    }

  private:
    const Qwen3Config config_;
};

}  // namespace

Result<std::unique_ptr<Blueprint>> parse_qwen3_blueprint(std::string_view json_text,
                                                         const std::string& file_name) {
    auto config = parse_qwen3_config(json_text, file_name);
    if (!config) return config.error();
    return std::unique_ptr<Blueprint>(std::make_unique<Qwen3Blueprint>(*config));
}

}  // namespace turnpike::engine
