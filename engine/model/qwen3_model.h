// Qwen3Model: the forward pass of the dense Qwen3 models over a backend's ops: grouped-query
// attention with a norm over each head's queries and keys before their rotation.
// transformers, models/qwen3.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/model/checkpoint.h"
#include "engine/model/model.h"
#include "engine/model/qwen3_config.h"
#include "engine/model/rank_ops.h"
#include "engine/model/scratch.h"
#include "engine/model/weights.h"
#include "kernels/api/backend.h"

namespace turnpike::engine {

ModelInfo qwen3_info(const Qwen3Config& config);

class Qwen3Model final : public Model {
  public:
    // Loads the share of one rank. The checkpoint has passed its check against this config; it is
    // not needed afterwards. Errors: kCorrupt for values that are not finite.
    static Result<std::unique_ptr<Model>> load(const Qwen3Config& config,
                                               const Checkpoint& checkpoint,
                                               RankOps ranks);

    const ModelInfo& info() const override { return info_; }

    std::unique_ptr<kernels::KvCache> make_kv_cache(std::int64_t num_blocks) override;
    kernels::MatrixView forward(const ForwardRows& rows, kernels::KvCache& cache) override;
    // The architecture has no draft layer: a call is a bug.
    kernels::MatrixView draft(const DraftRows& rows, kernels::KvCache& cache) override;

  private:
    struct Layer {
        Weight input_norm;
        Weight q, k, v;         // [own heads or kv heads * head_dim, hidden]
        Weight q_norm, k_norm;  // [head_dim]
        SplitLinear o;          // [hidden, heads * head_dim]
        Weight post_norm;
        SplitMlp mlp;
    };

    // Uses of scratch_.
    enum Use : std::size_t {
        kHidden,
        kNormed,
        kQueries,
        kKvRows,
        kAttended,
        kProjected,
        kLastHidden,
        kLogits,
        kNumUses,
    };

    Qwen3Model(const Qwen3Config& config, RankOps ranks);

    Status load_layer(const Checkpoint& checkpoint, const std::string& prefix, Layer& out);
    Status load_all(const Checkpoint& checkpoint);
    void norm_and_rotate(kernels::MatrixView x,
                         std::int64_t num_heads,
                         const Weight& norm,
                         const kernels::RopeRows& rope);
    void attend(const Layer& layer,
                const AttentionRows& rows,
                const kernels::RopeRows& rope,
                std::int64_t index,
                kernels::KvCache& cache,
                kernels::MatrixView x,
                kernels::MatrixView out);

    const Qwen3Config config_;
    const ModelInfo info_;
    const std::vector<double> rope_frequencies_;
    RankOps ranks_;
    kernels::Backend& backend_;
    const kernels::GqaShape attention_;  // of this rank's heads
    Weight embedding_;                   // [own vocab, hidden]
    std::vector<Layer> layers_;
    Weight final_norm_;  // [hidden]
    Weight head_;        // [own vocab, hidden]; null when the embedding is the head
    Scratch scratch_;
};

}  // namespace turnpike::engine
