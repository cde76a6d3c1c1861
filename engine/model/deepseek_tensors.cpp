// The tensors of DeepSeek-V3: names and shapes as in the published DeepSeek-V3 and R1 checkpoints.
#include <utility>

#include "engine/model/deepseek_blueprint.h"

namespace turnpike::engine {
namespace {

using Shape = std::vector<std::int64_t>;

class PlanBuilder {
  public:
    explicit PlanBuilder(const DeepseekConfig& config) : config_(config) {}

    std::vector<TensorSpec> build() {
        const Shape table{config_.vocab_size, config_.hidden_size};
        add("model.embed_tokens.weight", TensorKind::kEmbedding, table, Spread::kSplit);
        for (std::int64_t i = 0; i < config_.num_layers; ++i) {
            add_layer("model.layers." + std::to_string(i) + ".", config_.is_moe_layer(i));
        }
        add("model.norm.weight", TensorKind::kNorm, {config_.hidden_size});
        add_head("lm_head.weight");
        const std::size_t num_required = specs_.size();
        for (std::int64_t i = 0; i < config_.num_mtp_layers; ++i) {
            add_mtp_layer("model.layers." + std::to_string(config_.num_layers + i) + ".");
        }
        for (std::size_t i = num_required; i < specs_.size(); ++i) specs_[i].is_required = false;
        return std::move(specs_);
    }

  private:
    void add(std::string name, TensorKind kind, Shape shape, Spread spread = Spread::kReplicated) {
        specs_.push_back({std::move(name), kind, std::move(shape), true, spread});
    }

    void add_head(const std::string& name) {
        if (config_.has_fp8_head) return add_linear(name, config_.vocab_size, config_.hidden_size);
        add(name, TensorKind::kHead, {config_.vocab_size, config_.hidden_size}, Spread::kSplit);
    }

    // Marks what was added since as copies of the main model's embedding and head.
    void mark_copies(std::size_t first) {
        for (std::size_t i = first; i < specs_.size(); ++i) {
            specs_[i].is_copy = true;
            specs_[i].spread = Spread::kReplicated;
        }
    }

    void add_linear(const std::string& name,
                    std::int64_t rows,
                    std::int64_t cols,
                    Spread spread = Spread::kSplit) {
        add_linear_tensors(name, rows, cols, config_.is_fp8, spread, specs_);
    }

    void add_mlp(const std::string& prefix, std::int64_t width) {
        add_linear(prefix + "gate_proj.weight", width, config_.hidden_size);
        add_linear(prefix + "up_proj.weight", width, config_.hidden_size);
        add_linear(prefix + "down_proj.weight", config_.hidden_size, width);
    }

    void add_attention(const std::string& prefix) {
        const kernels::MlaShape& mla = config_.mla;
        const std::int64_t hidden = config_.hidden_size;
        const std::int64_t query_rows = mla.num_heads * mla.query_dim();
        if (config_.q_lora_rank > 0) {
            add_linear(prefix + "q_a_proj.weight", config_.q_lora_rank, hidden,
                       Spread::kReplicated);
            add(prefix + "q_a_layernorm.weight", TensorKind::kNorm, {config_.q_lora_rank});
            add_linear(prefix + "q_b_proj.weight", query_rows, config_.q_lora_rank,
                       Spread::kAttention);
        } else {
            add_linear(prefix + "q_proj.weight", query_rows, hidden, Spread::kAttention);
        }
        add_linear(prefix + "kv_a_proj_with_mqa.weight", mla.cache_dim(), hidden,
                   Spread::kReplicated);
        add(prefix + "kv_a_layernorm.weight", TensorKind::kNorm, {mla.latent_dim});
        add_linear(prefix + "kv_b_proj.weight", mla.num_heads * (mla.nope_dim + mla.v_dim),
                   mla.latent_dim, Spread::kAttention);
        add_linear(prefix + "o_proj.weight", hidden, mla.num_heads * mla.v_dim, Spread::kAttention);
    }

    void add_moe(const std::string& prefix) {
        const std::int64_t experts = config_.router.num_experts;
        add(prefix + "gate.weight", TensorKind::kMatrix, {experts, config_.hidden_size});
        add(prefix + "gate.e_score_correction_bias", TensorKind::kRouterBias, {experts});
        for (std::int64_t e = 0; e < experts; ++e) {
            add_mlp(prefix + "experts." + std::to_string(e) + ".", config_.moe_intermediate_size);
        }
        add_mlp(prefix + "shared_experts.",
                config_.moe_intermediate_size * config_.num_shared_experts);
    }

    void add_layer(const std::string& prefix, bool is_moe) {
        add(prefix + "input_layernorm.weight", TensorKind::kNorm, {config_.hidden_size});
        add_attention(prefix + "self_attn.");
        add(prefix + "post_attention_layernorm.weight", TensorKind::kNorm, {config_.hidden_size});
        if (is_moe) {
            add_moe(prefix + "mlp.");
        } else {
            add_mlp(prefix + "mlp.", config_.intermediate_size);
        }
    }

    void add_mtp_layer(const std::string& prefix) {
        const std::int64_t hidden = config_.hidden_size;
        add_layer(prefix, true);
        const std::size_t embedding = specs_.size();
        add(prefix + "embed_tokens.weight", TensorKind::kEmbedding, {config_.vocab_size, hidden});
        mark_copies(embedding);
        add(prefix + "enorm.weight", TensorKind::kNorm, {hidden});
        add(prefix + "hnorm.weight", TensorKind::kNorm, {hidden});
        add(prefix + "eh_proj.weight", TensorKind::kMatrix, {hidden, 2 * hidden});
        add(prefix + "shared_head.norm.weight", TensorKind::kNorm, {hidden});
        const std::size_t head = specs_.size();
        add_head(prefix + "shared_head.head.weight");
        mark_copies(head);
    }

    const DeepseekConfig& config_;
    std::vector<TensorSpec> specs_;
};

}  // namespace

std::vector<TensorSpec> deepseek_tensors(const DeepseekConfig& config) {
    return PlanBuilder(config).build();
}

}  // namespace turnpike::engine
