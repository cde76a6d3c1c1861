// DeepseekModel: taking the weights of a checked checkpoint into the backend's layout.
#include <utility>

#include "engine/model/deepseek_model.h"
#include "engine/model/weight_slice.h"

namespace turnpike::engine {

Result<std::unique_ptr<Model>> DeepseekModel::load(const DeepseekConfig& config,
                                                   const Checkpoint& checkpoint,
                                                   RankOps ranks,
                                                   bool with_draft_layer) {
    std::unique_ptr<DeepseekModel> model(new DeepseekModel(config, std::move(ranks)));
    RETURN_IF_ERROR(model->load_all(checkpoint, with_draft_layer));
    return std::unique_ptr<Model>(std::move(model));
}

Status DeepseekModel::load_attention(const Checkpoint& checkpoint,
                                     const std::string& prefix,
                                     Attention& out) {
    const Partition& partition = ranks_.partition();
    const auto rows_of_heads = [heads = partition.heads()](std::int64_t rows_per_head) {
        return Range{heads.begin * rows_per_head, heads.end * rows_per_head};
    };
    const Range query_rows = rows_of_heads(mla_.query_dim());
    if (config_.q_lora_rank > 0) {
        RETURN_IF_ERROR(load_weight(checkpoint, prefix + "q_a_proj.weight", backend_, out.q_a));
        RETURN_IF_ERROR(
            load_weight(checkpoint, prefix + "q_a_layernorm.weight", backend_, out.q_a_norm));
        RETURN_IF_ERROR(
            load_rows(checkpoint, prefix + "q_b_proj.weight", query_rows, backend_, out.q_b));
    } else {
        RETURN_IF_ERROR(
            load_rows(checkpoint, prefix + "q_proj.weight", query_rows, backend_, out.q_b));
    }
    RETURN_IF_ERROR(
        load_weight(checkpoint, prefix + "kv_a_proj_with_mqa.weight", backend_, out.kv_a));
    RETURN_IF_ERROR(
        load_weight(checkpoint, prefix + "kv_a_layernorm.weight", backend_, out.kv_a_norm));
    const auto whole = checkpoint.weight(prefix + "kv_b_proj.weight");
    auto kv_b =
        backend_.prepare_kv_up(row_slice(whole, rows_of_heads(mla_.nope_dim + mla_.v_dim)), mla_);
    if (!kv_b) return kv_b.error();
    out.kv_b = std::move(*kv_b);
    return load_split(checkpoint, prefix + "o_proj.weight", partition.attention_output(), backend_,
                      out.o);
}

Status DeepseekModel::load_moe(const Checkpoint& checkpoint,
                               const std::string& prefix,
                               Layer& out) {
    RETURN_IF_ERROR(load_weight(checkpoint, prefix + "gate.weight", backend_, out.router));
    RETURN_IF_ERROR(load_weight(checkpoint, prefix + "gate.e_score_correction_bias", backend_,
                                out.router_bias));
    RETURN_IF_ERROR(load_split_mlp(
        checkpoint, prefix + "shared_experts.",
        ranks_.partition().mlp(config_.moe_intermediate_size * config_.num_shared_experts),
        backend_, out.mlp));
    const Range experts = ranks_.partition().experts();
    out.experts.resize(static_cast<std::size_t>(experts.size()));
    for (std::size_t e = 0; e < out.experts.size(); ++e) {
        const std::string expert = prefix + "experts." +
                                   std::to_string(experts.begin + static_cast<std::int64_t>(e)) +
                                   ".";
        RETURN_IF_ERROR(load_mlp(checkpoint, expert, backend_, out.experts[e]));
        out.expert_views.push_back(out.experts[e].view());
    }
    return {};
}

Status DeepseekModel::load_layer(const Checkpoint& checkpoint, std::int64_t index, Layer& out) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    RETURN_IF_ERROR(
        load_weight(checkpoint, prefix + "input_layernorm.weight", backend_, out.input_norm));
    RETURN_IF_ERROR(load_attention(checkpoint, prefix + "self_attn.", out.attention));
    RETURN_IF_ERROR(load_weight(checkpoint, prefix + "post_attention_layernorm.weight", backend_,
                                out.post_norm));
    if (config_.is_moe_layer(index)) return load_moe(checkpoint, prefix + "mlp.", out);
    return load_split_mlp(checkpoint, prefix + "mlp.",
                          ranks_.partition().mlp(config_.intermediate_size), backend_, out.mlp);
}

Status DeepseekModel::load_draft_layer(const Checkpoint& checkpoint) {
    draft_ = std::make_unique<DraftLayer>();
    const std::string prefix = "model.layers." + std::to_string(config_.num_layers) + ".";
    RETURN_IF_ERROR(
        load_weight(checkpoint, prefix + "enorm.weight", backend_, draft_->embedding_norm));
    RETURN_IF_ERROR(
        load_weight(checkpoint, prefix + "hnorm.weight", backend_, draft_->hidden_norm));
    RETURN_IF_ERROR(load_weight(checkpoint, prefix + "eh_proj.weight", backend_, draft_->joint));
    RETURN_IF_ERROR(load_layer(checkpoint, config_.num_layers, draft_->layer));
    return load_weight(checkpoint, prefix + "shared_head.norm.weight", backend_,
                       draft_->final_norm);
}

Status DeepseekModel::load_all(const Checkpoint& checkpoint, bool with_draft_layer) {
    const Range vocab = ranks_.partition().vocab_of(ranks_.partition().rank());
    RETURN_IF_ERROR(
        load_rows(checkpoint, "model.embed_tokens.weight", vocab, backend_, embedding_));
    layers_.resize(static_cast<std::size_t>(config_.num_layers));
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        RETURN_IF_ERROR(load_layer(checkpoint, static_cast<std::int64_t>(i), layers_[i]));
    }
    RETURN_IF_ERROR(load_weight(checkpoint, "model.norm.weight", backend_, final_norm_));
    RETURN_IF_ERROR(load_rows(checkpoint, "lm_head.weight", vocab, backend_, head_));
    if (with_draft_layer) return load_draft_layer(checkpoint);
    return {};
}

}  // namespace turnpike::engine
