// DeepseekModel: taking the weights of a checked checkpoint into the backend's layout.
#include <utility>

#include "engine/model/deepseek_model.h"

namespace turnpike::engine {

Result<std::unique_ptr<Model>> DeepseekModel::load(const DeepseekConfig& config,
                                                   const Checkpoint& checkpoint,
                                                   kernels::Backend& backend) {
    std::unique_ptr<DeepseekModel> model(new DeepseekModel(config, backend));
    RETURN_IF_ERROR(model->load_all(checkpoint));
    return std::unique_ptr<Model>(std::move(model));
}

Status DeepseekModel::load_weight(const Checkpoint& checkpoint,
                                  const std::string& name,
                                  Weight& out) {
    auto weight = backend_.prepare(checkpoint.weight(name));
    if (!weight) return weight.error();
    out = std::move(*weight);
    return {};
}

Status DeepseekModel::load_mlp(const Checkpoint& checkpoint, const std::string& prefix, Mlp& out) {
    RETURN_IF_ERROR(load_weight(checkpoint, prefix + "gate_proj.weight", out.gate));
    RETURN_IF_ERROR(load_weight(checkpoint, prefix + "up_proj.weight", out.up));
    return load_weight(checkpoint, prefix + "down_proj.weight", out.down);
}

Status DeepseekModel::load_attention(const Checkpoint& checkpoint,
                                     const std::string& prefix,
                                     Attention& out) {
    if (config_.q_lora_rank > 0) {
        RETURN_IF_ERROR(load_weight(checkpoint, prefix + "q_a_proj.weight", out.q_a));
        RETURN_IF_ERROR(load_weight(checkpoint, prefix + "q_a_layernorm.weight", out.q_a_norm));
        RETURN_IF_ERROR(load_weight(checkpoint, prefix + "q_b_proj.weight", out.q_b));
    } else {
        RETURN_IF_ERROR(load_weight(checkpoint, prefix + "q_proj.weight", out.q_b));
    }
    RETURN_IF_ERROR(load_weight(checkpoint, prefix + "kv_a_proj_with_mqa.weight", out.kv_a));
    RETURN_IF_ERROR(load_weight(checkpoint, prefix + "kv_a_layernorm.weight", out.kv_a_norm));
    auto kv_b = backend_.prepare_kv_up(checkpoint.weight(prefix + "kv_b_proj.weight"), config_.mla);
    if (!kv_b) return kv_b.error();
    out.kv_b = std::move(*kv_b);
    return load_weight(checkpoint, prefix + "o_proj.weight", out.o);
}

Status DeepseekModel::load_layer(const Checkpoint& checkpoint, std::int64_t index, Layer& out) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    RETURN_IF_ERROR(load_weight(checkpoint, prefix + "input_layernorm.weight", out.input_norm));
    RETURN_IF_ERROR(load_attention(checkpoint, prefix + "self_attn.", out.attention));
    RETURN_IF_ERROR(
        load_weight(checkpoint, prefix + "post_attention_layernorm.weight", out.post_norm));
    if (!config_.is_moe_layer(index)) return load_mlp(checkpoint, prefix + "mlp.", out.mlp);

    RETURN_IF_ERROR(load_weight(checkpoint, prefix + "mlp.gate.weight", out.router));
    RETURN_IF_ERROR(
        load_weight(checkpoint, prefix + "mlp.gate.e_score_correction_bias", out.router_bias));
    RETURN_IF_ERROR(load_mlp(checkpoint, prefix + "mlp.shared_experts.", out.mlp));
    out.experts.resize(static_cast<std::size_t>(config_.router.num_experts));
    for (std::size_t e = 0; e < out.experts.size(); ++e) {
        const std::string expert = prefix + "mlp.experts." + std::to_string(e) + ".";
        RETURN_IF_ERROR(load_mlp(checkpoint, expert, out.experts[e]));
        out.expert_views.push_back(out.experts[e].view());
    }
    return {};
}

Status DeepseekModel::load_all(const Checkpoint& checkpoint) {
    RETURN_IF_ERROR(load_weight(checkpoint, "model.embed_tokens.weight", embedding_));
    layers_.resize(static_cast<std::size_t>(config_.num_layers));
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        RETURN_IF_ERROR(load_layer(checkpoint, static_cast<std::int64_t>(i), layers_[i]));
    }
    RETURN_IF_ERROR(load_weight(checkpoint, "model.norm.weight", final_norm_));
    return load_weight(checkpoint, "lm_head.weight", head_);
}

}  // namespace turnpike::engine
