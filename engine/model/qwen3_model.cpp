// See qwen3_model.h.
#include "engine/model/qwen3_model.h"

#include <tuple>
#include <utility>

#include "config/base/check.h"

namespace turnpike::engine {

using kernels::MatrixView;

namespace {

kernels::GqaShape shape_of(const kernels::GqaShape& whole, const Partition& partition) {
    kernels::GqaShape shape = whole;
    shape.num_heads = partition.heads().size();
    shape.num_kv_heads = partition.kv_heads().size();
    return shape;
}

}  // namespace

ModelInfo qwen3_info(const Qwen3Config& config) {
    ModelInfo info;
    info.architecture = std::string(kQwen3Architecture);
    info.vocab_size = static_cast<std::int32_t>(config.vocab_size);
    info.max_positions = config.max_positions;
    info.bos_token = config.bos_token;
    info.eos_token = config.eos_token;
    info.kv_bytes_per_token =
        config.num_layers * config.attention.cache_dim() * static_cast<std::int64_t>(sizeof(float));
    return info;
}

Qwen3Model::Qwen3Model(const Qwen3Config& config, RankOps ranks)
    : config_(config),
      info_(qwen3_info(config)),
      rope_frequencies_(kernels::yarn_inverse_frequencies(config.yarn)),
      ranks_(std::move(ranks)),
      backend_(ranks_.backend()),
      attention_(shape_of(config.attention, ranks_.partition())),
      scratch_(backend_, kNumUses) {}

Result<std::unique_ptr<Model>> Qwen3Model::load(const Qwen3Config& config,
                                                const Checkpoint& checkpoint,
                                                RankOps ranks) {
    std::unique_ptr<Qwen3Model> model(new Qwen3Model(config, std::move(ranks)));
    RETURN_IF_ERROR(model->load_all(checkpoint));
    return std::unique_ptr<Model>(std::move(model));
}

Status Qwen3Model::load_layer(const Checkpoint& checkpoint, const std::string& prefix, Layer& out) {
    const std::pair<const char*, Weight*> norms[] = {
        {"input_layernorm", &out.input_norm},
        {"self_attn.q_norm", &out.q_norm},
        {"self_attn.k_norm", &out.k_norm},
        {"post_attention_layernorm", &out.post_norm},
    };
    for (const auto& [name, weight] : norms) {
        RETURN_IF_ERROR(load_weight(checkpoint, prefix + name + ".weight", backend_, *weight));
    }
    const Partition& partition = ranks_.partition();
    const std::tuple<const char*, Range, Weight*> projections[] = {
        {"self_attn.q_proj", partition.heads(), &out.q},
        {"self_attn.k_proj", partition.kv_heads(), &out.k},
        {"self_attn.v_proj", partition.kv_heads(), &out.v},
    };
    for (const auto& [name, heads, weight] : projections) {
        const Range rows{heads.begin * attention_.head_dim, heads.end * attention_.head_dim};
        RETURN_IF_ERROR(load_rows(checkpoint, prefix + name + ".weight", rows, backend_, *weight));
    }
    RETURN_IF_ERROR(load_split(checkpoint, prefix + "self_attn.o_proj.weight",
                               partition.attention_output(), backend_, out.o));
    return load_split_mlp(checkpoint, prefix + "mlp.", partition.mlp(config_.intermediate_size),
                          backend_, out.mlp);
}

Status Qwen3Model::load_all(const Checkpoint& checkpoint) {
    const Range vocab = ranks_.partition().vocab_of(ranks_.partition().rank());
    RETURN_IF_ERROR(
        load_rows(checkpoint, "model.embed_tokens.weight", vocab, backend_, embedding_));
    layers_.resize(static_cast<std::size_t>(config_.num_layers));
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        const std::string prefix = "model.layers." + std::to_string(i) + ".";
        RETURN_IF_ERROR(load_layer(checkpoint, prefix, layers_[i]));
    }
    RETURN_IF_ERROR(load_weight(checkpoint, "model.norm.weight", backend_, final_norm_));
    if (config_.is_head_tied) return {};
    return load_rows(checkpoint, "lm_head.weight", vocab, backend_, head_);
}

std::unique_ptr<kernels::KvCache> Qwen3Model::make_kv_cache(std::int64_t num_blocks) {
    return backend_.make_kv_cache({config_.num_layers, num_blocks, attention_.cache_dim()});
}

// Each head of each row by itself.
void Qwen3Model::norm_and_rotate(MatrixView x,
                                 std::int64_t num_heads,
                                 const Weight& norm,
                                 const kernels::RopeRows& rope) {
    const std::int64_t width = config_.attention.head_dim;
    backend_.rms_norm_heads(x, num_heads, *norm, config_.rms_epsilon);
    backend_.rope(x, {num_heads, width, 0, kernels::Backend::RopePairs::kHalves}, rope);
}

void Qwen3Model::attend(const Layer& layer,
                        const AttentionRows& rows,
                        const kernels::RopeRows& rope,
                        std::int64_t index,
                        kernels::KvCache& cache,
                        MatrixView x,
                        MatrixView out) {
    const kernels::GqaShape& shape = attention_;
    if (x.rows == 0) return;
    const MatrixView queries = scratch_.take(kQueries, x.rows, shape.query_width());
    // A cache row: the keys after their norm and rotation, then the values as projected.
    const MatrixView kv = scratch_.take(kKvRows, x.rows, shape.cache_dim());
    const MatrixView keys = kv.col_range(0, shape.kv_width());
    const MatrixView values = kv.col_range(shape.kv_width(), shape.kv_width());
    const kernels::Backend::Product products[] = {
        {layer.q.get(), queries}, {layer.k.get(), keys}, {layer.v.get(), values}};
    backend_.linears(x, products);
    norm_and_rotate(queries, shape.num_heads, layer.q_norm, rope);
    norm_and_rotate(keys, shape.num_kv_heads, layer.k_norm, rope);

    const MatrixView attended = scratch_.take(kAttended, x.rows, shape.query_width());
    for (const auto* slices : {&rows.prompt_slices, &rows.generated_slices}) {
        backend_.write_kv(kv, *slices, index, cache);
    }
    for (const auto* slices : {&rows.prompt_slices, &rows.generated_slices}) {
        backend_.attend_grouped(queries, *slices, shape, index, cache, attended);
    }
    ranks_.linear_split_k(attended, layer.o, out);
}

MatrixView Qwen3Model::forward(const ForwardRows& rows, kernels::KvCache& cache) {
    const auto num_rows = static_cast<std::int64_t>(rows.tokens.size());
    CHECK(num_rows > 0 && rows.positions.size() == rows.tokens.size());
    const AttentionRows own = ranks_.attention_rows(rows);
    const kernels::RopeRows rope =
        kernels::make_rope_rows(rope_frequencies_, own.positions, config_.rope_magnitude);
    const MatrixView hidden = scratch_.take(kHidden, num_rows, config_.hidden_size);
    const MatrixView normed = scratch_.take(kNormed, num_rows, config_.hidden_size);
    const MatrixView projected = scratch_.take(kProjected, num_rows, config_.hidden_size);
    ranks_.embed(rows.tokens, *embedding_, hidden);
    const float epsilon = config_.rms_epsilon;
    backend_.rms_norm(hidden, *layers_.front().input_norm, epsilon, normed);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        const Layer& layer = layers_[i];
        attend(layer, own, rope, static_cast<std::int64_t>(i), cache, own.of(normed),
               own.of(projected));
        ranks_.gather_rows(own, projected);
        backend_.add_norm(projected, hidden, *layer.post_norm, epsilon, normed);
        ranks_.run_mlp(layer.mlp, normed, projected);
        if (i + 1 < layers_.size())
            backend_.add_norm(projected, hidden, *layers_[i + 1].input_norm, epsilon, normed);
        else
            backend_.add(projected, hidden);
    }
    const auto num_wanted = static_cast<std::int64_t>(rows.logit_rows.size());
    const MatrixView last = scratch_.take(kLastHidden, num_wanted, config_.hidden_size);
    const MatrixView logits = scratch_.take(kLogits, num_wanted, config_.vocab_size);
    if (num_wanted == 0) return logits;
    backend_.gather_rows(hidden, rows.logit_rows, last);
    backend_.rms_norm(last, *final_norm_, config_.rms_epsilon, last);
    ranks_.logits(last, head_ != nullptr ? *head_ : *embedding_, logits);
    return logits;
}

MatrixView Qwen3Model::draft(const DraftRows&, kernels::KvCache&) {
    CHECK(info_.num_draft_layers > 0);
    return {};
}

}  // namespace turnpike::engine
