// DeepseekModel: the forward pass. Loading is in deepseek_load.cpp.
#include "engine/model/deepseek_model.h"

#include <algorithm>

#include "config/base/check.h"

namespace turnpike::engine {

using kernels::MatrixView;

ModelInfo deepseek_info(const DeepseekConfig& config) {
    ModelInfo info;
    info.architecture = std::string(kDeepseekArchitecture);
    info.vocab_size = static_cast<std::int32_t>(config.vocab_size);
    info.max_positions = config.max_positions;
    info.bos_token = config.bos_token;
    info.eos_token = config.eos_token;
    info.kv_bytes_per_token =
        config.num_layers * config.mla.cache_dim() * static_cast<std::int64_t>(sizeof(float));
    return info;
}

DeepseekModel::DeepseekModel(const DeepseekConfig& config, kernels::Backend& backend)
    : config_(config),
      info_(deepseek_info(config)),
      rope_frequencies_(kernels::yarn_inverse_frequencies(config.yarn)),
      backend_(backend),
      scratch_(kNumScratch) {}

std::unique_ptr<kernels::KvCache> DeepseekModel::make_kv_cache(std::int64_t num_blocks) {
    return backend_.make_kv_cache({config_.num_layers, num_blocks, config_.mla.cache_dim()});
}

MatrixView DeepseekModel::scratch(Scratch which, std::int64_t rows, std::int64_t cols) {
    const kernels::DType dtype = backend_.activation_dtype();
    const std::size_t needed = static_cast<std::size_t>(rows * cols) * kernels::dtype_bytes(dtype);
    auto& buffer = scratch_[which];
    if (buffer == nullptr || buffer->num_bytes() < needed) buffer = backend_.allocate(needed);
    return {buffer->data(), dtype, rows, cols, cols};
}

// queries: [rows, heads * (nope_dim + rope_dim)], the last rope_dim columns of each head rotated.
void DeepseekModel::project_queries(const Attention& weights,
                                    MatrixView x,
                                    const kernels::RopeRows& rope,
                                    MatrixView queries) {
    if (weights.q_a != nullptr) {
        const MatrixView latent = scratch(kQueryLatent, x.rows, config_.q_lora_rank);
        backend_.linear(x, *weights.q_a, latent);
        backend_.rms_norm(latent, *weights.q_a_norm, config_.rms_epsilon, latent);
        backend_.linear(latent, *weights.q_b, queries);
    } else {
        backend_.linear(x, *weights.q_b, queries);
    }
    const kernels::MlaShape& mla = config_.mla;
    backend_.rope(queries, {mla.num_heads, mla.query_dim(), mla.nope_dim}, rope);
}

void DeepseekModel::attend(const Attention& weights,
                           const ForwardRows& rows,
                           const kernels::RopeRows& rope,
                           std::int64_t layer,
                           kernels::KvCache& cache,
                           MatrixView x,
                           MatrixView out) {
    const kernels::MlaShape& mla = config_.mla;
    const MatrixView queries = scratch(kQueries, x.rows, mla.num_heads * mla.query_dim());
    project_queries(weights, x, rope, queries);

    // A cache row: the latent after its norm, then the one rotated key that all heads share.
    const MatrixView kv = scratch(kKvRows, x.rows, mla.cache_dim());
    backend_.linear(x, *weights.kv_a, kv);
    const MatrixView latent = kv.col_range(0, mla.latent_dim);
    backend_.rms_norm(latent, *weights.kv_a_norm, config_.rms_epsilon, latent);
    backend_.rope(kv, {1, mla.cache_dim(), mla.latent_dim}, rope);
    backend_.write_kv(kv, rows.prompt_slices, layer, cache);
    backend_.write_kv(kv, rows.generated_slices, layer, cache);

    const MatrixView attended = scratch(kAttended, x.rows, mla.num_heads * mla.v_dim);
    if (!rows.prompt_slices.empty()) {
        backend_.attend_naive(queries, rows.prompt_slices, *weights.kv_b, mla, layer, cache,
                              attended);
    }
    if (!rows.generated_slices.empty()) {
        backend_.attend_absorbed(queries, rows.generated_slices, *weights.kv_b, mla, layer, cache,
                                 attended);
    }
    backend_.linear_split_k(attended, *weights.o, out);
}

void DeepseekModel::run_mlp(const Mlp& weights, MatrixView x, MatrixView out) {
    const MatrixView gate = scratch(kGate, x.rows, weights.gate->rows());
    const MatrixView up = scratch(kUp, x.rows, weights.up->rows());
    backend_.linear(x, *weights.gate, gate);
    backend_.linear(x, *weights.up, up);
    backend_.silu_mul(gate, up, gate);
    backend_.linear_split_k(gate, *weights.down, out);
}

// hidden += experts(x) + shared expert(x).
void DeepseekModel::run_moe(const Layer& layer, MatrixView x, MatrixView hidden) {
    const MatrixView logits = scratch(kRouterLogits, x.rows, config_.router.num_experts);
    backend_.linear(x, *layer.router, logits);
    const kernels::Routing routing = backend_.route(logits, *layer.router_bias, config_.router);
    const MatrixView expert_out =
        scratch(kExpertOut, x.rows * routing.num_chosen, config_.hidden_size);
    backend_.run_experts(x, routing, layer.expert_views, expert_out);
    const MatrixView shared = scratch(kProjected, x.rows, config_.hidden_size);
    run_mlp(layer.mlp, x, shared);
    backend_.combine_experts(expert_out, routing, shared, hidden);
}

MatrixView DeepseekModel::forward(const ForwardRows& rows, kernels::KvCache& cache) {
    const auto num_rows = static_cast<std::int64_t>(rows.tokens.size());
    CHECK(num_rows > 0 && rows.positions.size() == rows.tokens.size());
    const kernels::RopeRows rope = kernels::make_rope_rows(rope_frequencies_, rows.positions);
    const MatrixView hidden = scratch(kHidden, num_rows, config_.hidden_size);
    const MatrixView normed = scratch(kNormed, num_rows, config_.hidden_size);
    backend_.embed(rows.tokens, *embedding_, hidden);
    for (std::int64_t i = 0; i < config_.num_layers; ++i) {
        const Layer& layer = layers_[static_cast<std::size_t>(i)];
        const MatrixView projected = scratch(kProjected, num_rows, config_.hidden_size);
        backend_.rms_norm(hidden, *layer.input_norm, config_.rms_epsilon, normed);
        attend(layer.attention, rows, rope, i, cache, normed, projected);
        backend_.add(projected, hidden);
        backend_.rms_norm(hidden, *layer.post_norm, config_.rms_epsilon, normed);
        if (config_.is_moe_layer(i)) {
            run_moe(layer, normed, hidden);
        } else {
            run_mlp(layer.mlp, normed, projected);
            backend_.add(projected, hidden);
        }
    }
    const auto num_wanted = static_cast<std::int64_t>(rows.logit_rows.size());
    const MatrixView last = scratch(kLastHidden, num_wanted, config_.hidden_size);
    const MatrixView logits = scratch(kLogits, num_wanted, config_.vocab_size);
    if (num_wanted == 0) return logits;
    backend_.gather_rows(hidden, rows.logit_rows, last);
    backend_.rms_norm(last, *final_norm_, config_.rms_epsilon, last);
    backend_.linear(last, *head_, logits);
    return logits;
}

}  // namespace turnpike::engine
