// DeepseekModel: the forward pass. Loading is in deepseek_load.cpp.
#include "engine/model/deepseek_model.h"

#include <utility>

#include "config/base/check.h"
#include "engine/model/row_choice.h"

namespace turnpike::engine {

using kernels::MatrixView;

namespace {

// Of the norms over the query's and the cache's latent: the published code leaves them at this,
// whatever rms_norm_eps says. DeepSeek-V3 inference/model.py, MLA.__init__.
constexpr float kLatentEpsilon = 1e-6F;

kernels::MlaShape shape_of(const kernels::MlaShape& whole, Range heads) {
    kernels::MlaShape shape = whole;
    shape.num_heads = heads.size();
    return shape;
}

}  // namespace

ModelInfo deepseek_info(const DeepseekConfig& config) {
    ModelInfo info;
    info.architecture = std::string(kDeepseekArchitecture);
    info.vocab_size = static_cast<std::int32_t>(config.vocab_size);
    info.max_positions = config.max_positions;
    info.bos_token = config.bos_token;
    info.eos_token = config.eos_token;
    info.num_draft_layers = config.num_mtp_layers;
    info.kv_bytes_per_token =
        config.num_layers * config.mla.cache_dim() * static_cast<std::int64_t>(sizeof(float));
    return info;
}

DeepseekModel::DeepseekModel(const DeepseekConfig& config, RankOps ranks)
    : config_(config),
      info_(deepseek_info(config)),
      rope_frequencies_(kernels::yarn_inverse_frequencies(config.yarn)),
      ranks_(std::move(ranks)),
      backend_(ranks_.backend()),
      mla_(shape_of(config.mla, ranks_.partition().heads())),
      scratch_(backend_, kNumUses) {}

std::unique_ptr<kernels::KvCache> DeepseekModel::make_kv_cache(std::int64_t num_blocks) {
    const std::int64_t num_layers = config_.num_layers + (draft_ != nullptr ? 1 : 0);
    return backend_.make_kv_cache({num_layers, num_blocks, config_.mla.cache_dim()});
}

// queries: [rows, heads * (nope_dim + rope_dim)], the last rope_dim columns of each head rotated.
void DeepseekModel::project_queries(const Attention& weights,
                                    MatrixView x,
                                    const kernels::RopeRows& rope,
                                    MatrixView queries) {
    if (weights.q_a != nullptr) {
        const MatrixView latent = scratch_.take(kQueryLatent, x.rows, config_.q_lora_rank);
        backend_.linear(x, *weights.q_a, latent);
        backend_.rms_norm(latent, *weights.q_a_norm, kLatentEpsilon, latent);
        backend_.linear(latent, *weights.q_b, queries);
    } else {
        backend_.linear(x, *weights.q_b, queries);
    }
    backend_.rope(queries, {mla_.num_heads, mla_.query_dim(), mla_.nope_dim}, rope);
}

// A cache row: the latent after its norm, then the one rotated key that all heads share.
void DeepseekModel::write_keys(const Attention& weights,
                               const AttentionRows& rows,
                               const kernels::RopeRows& rope,
                               std::int64_t layer,
                               kernels::KvCache& cache,
                               MatrixView x) {
    const kernels::MlaShape& mla = mla_;
    if (x.rows == 0) return;
    const MatrixView kv = scratch_.take(kKvRows, x.rows, mla.cache_dim());
    backend_.linear(x, *weights.kv_a, kv);
    const MatrixView latent = kv.col_range(0, mla.latent_dim);
    backend_.rms_norm(latent, *weights.kv_a_norm, kLatentEpsilon, latent);
    backend_.rope(kv, {1, mla.cache_dim(), mla.latent_dim}, rope);
    backend_.write_kv(kv, rows.prompt_slices, layer, cache);
    backend_.write_kv(kv, rows.generated_slices, layer, cache);
}

void DeepseekModel::attend(const Attention& weights,
                           const AttentionRows& rows,
                           const kernels::RopeRows& rope,
                           std::int64_t layer,
                           kernels::KvCache& cache,
                           MatrixView x,
                           MatrixView out) {
    const kernels::MlaShape& mla = mla_;
    if (x.rows == 0) return;
    const MatrixView queries = scratch_.take(kQueries, x.rows, mla.num_heads * mla.query_dim());
    project_queries(weights, x, rope, queries);
    const MatrixView attended = scratch_.take(kAttended, x.rows, mla.num_heads * mla.v_dim);
    if (!rows.prompt_slices.empty()) {
        backend_.attend_naive(queries, rows.prompt_slices, *weights.kv_b, mla, layer, cache,
                              attended);
    }
    if (!rows.generated_slices.empty()) {
        backend_.attend_absorbed(queries, rows.generated_slices, *weights.kv_b, mla, layer, cache,
                                 attended);
    }
    ranks_.linear_split_k(attended, weights.o, out);
}

// hidden += experts(x) + shared expert(x).
void DeepseekModel::run_moe(const Layer& layer, MatrixView x, MatrixView hidden) {
    const kernels::MlpWeights shared_views{layer.mlp.gate.get(), layer.mlp.up.get(),
                                           layer.mlp.down.whole.get()};
    const kernels::MoeBlock block{layer.router.get(), layer.router_bias.get(), config_.router,
                                  layer.expert_views, shared_views};
    if (ranks_.partition().size() == 1 && backend_.run_moe(block, x, hidden)) return;
    const MatrixView logits = scratch_.take(kRouterLogits, x.rows, config_.router.num_experts);
    backend_.linear(x, *layer.router, logits);
    const kernels::Routing routing = backend_.route(logits, *layer.router_bias, config_.router);
    const MatrixView expert_out =
        scratch_.take(kExpertOut, x.rows * routing.num_chosen, config_.hidden_size);
    ranks_.run_experts(x, routing, layer.expert_views, expert_out);
    const MatrixView shared = scratch_.take(kProjected, x.rows, config_.hidden_size);
    ranks_.run_mlp(layer.mlp, x, shared);
    backend_.combine_experts(expert_out, routing, shared, hidden);
}

void DeepseekModel::run_layer(const Layer& layer,
                              const AttentionRows& rows,
                              const kernels::RopeRows& rope,
                              std::int64_t index,
                              kernels::KvCache& cache,
                              MatrixView hidden) {
    const MatrixView normed = scratch_.take(kNormed, hidden.rows, hidden.cols);
    backend_.rms_norm(hidden, *layer.input_norm, config_.rms_epsilon, normed);
    write_keys(layer.attention, rows, rope, index, cache, rows.of(normed));
    finish_layer(layer, rows, rope, index, cache, normed, hidden);
}

void DeepseekModel::finish_layer(const Layer& layer,
                                 const AttentionRows& rows,
                                 const kernels::RopeRows& rope,
                                 std::int64_t index,
                                 kernels::KvCache& cache,
                                 MatrixView normed,
                                 MatrixView hidden) {
    const MatrixView projected = scratch_.take(kProjected, hidden.rows, hidden.cols);
    attend(layer.attention, rows, rope, index, cache, rows.of(normed), rows.of(projected));
    ranks_.gather_rows(rows, projected);
    backend_.add_norm(projected, hidden, *layer.post_norm, config_.rms_epsilon, normed);
    if (layer.is_moe()) return run_moe(layer, normed, hidden);
    ranks_.run_mlp(layer.mlp, normed, projected);
    backend_.add(projected, hidden);
}

// The head over some of the rows, which have passed the final norm.
MatrixView DeepseekModel::logits_of(MatrixView normed, std::span<const std::int64_t> rows) {
    const auto num_wanted = static_cast<std::int64_t>(rows.size());
    const MatrixView last = scratch_.take(kLastHidden, num_wanted, config_.hidden_size);
    const MatrixView logits = scratch_.take(kLogits, num_wanted, config_.vocab_size);
    if (num_wanted == 0) return logits;
    backend_.gather_rows(normed, rows, last);
    ranks_.logits(last, *head_, logits);
    return logits;
}

MatrixView DeepseekModel::forward(const ForwardRows& rows, kernels::KvCache& cache) {
    num_output_rows_ = static_cast<std::int64_t>(rows.tokens.size());
    CHECK(num_output_rows_ > 0 && rows.positions.size() == rows.tokens.size());
    const AttentionRows own = ranks_.attention_rows(rows);
    const kernels::RopeRows rope = kernels::make_rope_rows(rope_frequencies_, own.positions);
    const MatrixView hidden = scratch_.take(kHidden, num_output_rows_, config_.hidden_size);
    ranks_.embed(rows.tokens, *embedding_, hidden);
    for (std::int64_t i = 0; i < config_.num_layers; ++i) {
        run_layer(layers_[static_cast<std::size_t>(i)], own, rope, i, cache, hidden);
    }
    const MatrixView output = scratch_.take(kOutput, num_output_rows_, config_.hidden_size);
    backend_.rms_norm(hidden, *final_norm_, config_.rms_epsilon, output);
    return logits_of(output, rows.logit_rows);
}

// The hidden state is taken after the main model's final norm, as deployed systems feed it; that of
// a draft, to draft on, is the layer's output itself (DeepSeek-V3, section 2.2).
void DeepseekModel::join(const DraftRows& draft_rows, MatrixView joint) {
    const std::int64_t width = config_.hidden_size;
    const float epsilon = config_.rms_epsilon;
    const MatrixView output = draft_rows.is_chained
                                  ? scratch_.take(kDraftHidden, num_draft_rows_, width)
                                  : scratch_.take(kOutput, num_output_rows_, width);
    const MatrixView joined = scratch_.take(kJoined, joint.rows, 2 * width);
    ranks_.embed(draft_rows.rows.tokens, *embedding_, joint);
    backend_.rms_norm(joint, *draft_->embedding_norm, epsilon, joined.col_range(0, width));
    backend_.gather_rows(output, draft_rows.hidden_rows, joint);
    backend_.rms_norm(joint, *draft_->hidden_norm, epsilon, joined.col_range(width, width));
    backend_.linear(joined, *draft_->joint, joint);
}

// What later rows need of a row is its keys alone, and these depend on the layer's input: there is
// one draft layer. So every row has its keys written, a small part of the layer's weights, and only
// the rows whose logits are wanted go on to attention, experts and head.
MatrixView DeepseekModel::draft(const DraftRows& draft_rows, kernels::KvCache& cache) {
    CHECK(draft_ != nullptr);
    const ForwardRows& rows = draft_rows.rows;
    const auto num_rows = static_cast<std::int64_t>(rows.tokens.size());
    const auto num_wanted = static_cast<std::int64_t>(rows.logit_rows.size());
    CHECK(num_rows > 0 && rows.positions.size() == rows.tokens.size());
    const std::int64_t width = config_.hidden_size;
    const Layer& layer = draft_->layer;
    const MatrixView joint = scratch_.take(kHidden, num_rows, width);
    join(draft_rows, joint);
    const MatrixView normed = scratch_.take(kNormed, num_rows, width);
    backend_.rms_norm(joint, *layer.input_norm, config_.rms_epsilon, normed);
    const AttentionRows own = ranks_.attention_rows(rows);
    write_keys(layer.attention, own, kernels::make_rope_rows(rope_frequencies_, own.positions),
               config_.num_layers, cache, own.of(normed));
    const MatrixView logits = scratch_.take(kLogits, num_wanted, config_.vocab_size);
    num_draft_rows_ = num_wanted;
    if (num_wanted == 0) return logits;

    const AttentionRows chosen = ranks_.attention_rows(choose_rows(rows, rows.logit_rows));
    const MatrixView x = scratch_.take(kDraftNormed, num_wanted, width);
    const MatrixView hidden = scratch_.take(kDraftHidden, num_wanted, width);
    backend_.gather_rows(normed, rows.logit_rows, x);
    backend_.gather_rows(joint, rows.logit_rows, hidden);
    finish_layer(layer, chosen, kernels::make_rope_rows(rope_frequencies_, chosen.positions),
                 config_.num_layers, cache, x, hidden);
    backend_.rms_norm(hidden, *draft_->final_norm, config_.rms_epsilon, x);
    ranks_.logits(x, *head_, logits);
    return logits;
}

}  // namespace turnpike::engine
