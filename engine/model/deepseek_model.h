// DeepseekModel: the forward pass of DeepSeek-V3 and R1 over a backend's ops.
// DeepSeek-V3 inference/model.py, Transformer.forward; the MTP layer as the report's section 2.2.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/model/checkpoint.h"
#include "engine/model/deepseek_config.h"
#include "engine/model/model.h"
#include "engine/model/rank_ops.h"
#include "engine/model/scratch.h"
#include "engine/model/weights.h"
#include "kernels/api/backend.h"

namespace turnpike::engine {

ModelInfo deepseek_info(const DeepseekConfig& config);

class DeepseekModel final : public Model {
  public:
    // Loads the share of one rank. The checkpoint has passed its check against this config; it is
    // not needed afterwards. Errors: kCorrupt for values that are not finite.
    static Result<std::unique_ptr<Model>> load(const DeepseekConfig& config,
                                               const Checkpoint& checkpoint,
                                               RankOps ranks,
                                               bool with_draft_layer);

    const ModelInfo& info() const override { return info_; }

    std::unique_ptr<kernels::KvCache> make_kv_cache(std::int64_t num_blocks) override;
    kernels::MatrixView forward(const ForwardRows& rows, kernels::KvCache& cache) override;
    kernels::MatrixView draft(const DraftRows& rows, kernels::KvCache& cache) override;

  private:
    struct Attention {
        Weight q_a;        // [q_lora_rank, hidden]; null without a q_lora_rank
        Weight q_a_norm;   // [q_lora_rank]; null likewise
        Weight q_b;        // [own heads * query_dim, q_lora_rank or hidden]
        Weight kv_a;       // [cache_dim, hidden]
        Weight kv_a_norm;  // [latent_dim]
        Weight kv_b;       // [own heads * (nope_dim + v_dim), latent_dim]
        SplitLinear o;     // [hidden, heads * v_dim]
    };

    struct Layer {
        Weight input_norm;
        Attention attention;
        Weight post_norm;
        SplitMlp mlp;        // the dense MLP, or the shared expert
        Weight router;       // [experts, hidden]; null in a dense layer, as the two below
        Weight router_bias;  // [experts]
        std::vector<GatedMlp> experts;  // this rank's
        std::vector<kernels::MlpWeights> expert_views;

        bool is_moe() const { return router != nullptr; }
    };

    // The first MTP layer: what it has beside a layer's weights. Embedding and head are the main
    // model's.
    struct DraftLayer {
        Weight embedding_norm;  // [hidden]
        Weight hidden_norm;     // [hidden]
        Weight joint;           // [hidden, 2 * hidden]: of the embedding, then of the hidden state
        Layer layer;
        Weight final_norm;  // [hidden]
    };

    // Uses of scratch_.
    enum Use : std::size_t {
        kHidden,
        kNormed,
        kQueryLatent,
        kQueries,
        kKvRows,
        kAttended,
        kProjected,
        kRouterLogits,
        kExpertOut,
        kOutput,
        kJoined,
        kDraftNormed,
        kDraftHidden,
        kLastHidden,
        kLogits,
        kNumUses,
    };

    DeepseekModel(const DeepseekConfig& config, RankOps ranks);

    // Loading. Each returns the first error.
    Status load_attention(const Checkpoint& checkpoint, const std::string& prefix, Attention& out);
    Status load_moe(const Checkpoint& checkpoint, const std::string& prefix, Layer& out);
    Status load_layer(const Checkpoint& checkpoint, std::int64_t index, Layer& out);
    Status load_draft_layer(const Checkpoint& checkpoint);
    Status load_all(const Checkpoint& checkpoint, bool with_draft_layer);

    void project_queries(const Attention& weights,
                         kernels::MatrixView x,
                         const kernels::RopeRows& rope,
                         kernels::MatrixView queries);
    // x: the rows' input of the layer, after its norm.
    void write_keys(const Attention& weights,
                    const AttentionRows& rows,
                    const kernels::RopeRows& rope,
                    std::int64_t layer,
                    kernels::KvCache& cache,
                    kernels::MatrixView x);
    // The rows' own keys have been written.
    void attend(const Attention& weights,
                const AttentionRows& rows,
                const kernels::RopeRows& rope,
                std::int64_t layer,
                kernels::KvCache& cache,
                kernels::MatrixView x,
                kernels::MatrixView out);
    void run_moe(const Layer& layer, kernels::MatrixView x, kernels::MatrixView hidden);
    // hidden += attention, then += MLP or experts.
    void run_layer(const Layer& layer,
                   const AttentionRows& rows,
                   const kernels::RopeRows& rope,
                   std::int64_t index,
                   kernels::KvCache& cache,
                   kernels::MatrixView hidden);
    // The same from where the rows' keys have been written; normed: hidden after the input's norm.
    void finish_layer(const Layer& layer,
                      const AttentionRows& rows,
                      const kernels::RopeRows& rope,
                      std::int64_t index,
                      kernels::KvCache& cache,
                      kernels::MatrixView normed,
                      kernels::MatrixView hidden);
    // The draft layer's input of each row.
    void join(const DraftRows& rows, kernels::MatrixView joint);
    kernels::MatrixView logits_of(kernels::MatrixView normed, std::span<const std::int64_t> rows);

    const DeepseekConfig config_;
    const ModelInfo info_;
    const std::vector<double> rope_frequencies_;
    RankOps ranks_;
    kernels::Backend& backend_;
    const kernels::MlaShape mla_;  // of this rank's heads
    Weight embedding_;             // [own vocab, hidden]
    std::vector<Layer> layers_;
    Weight final_norm_;                  // [hidden]
    Weight head_;                        // [own vocab, hidden]
    std::unique_ptr<DraftLayer> draft_;  // null when not loaded
    std::int64_t num_output_rows_ = 0;   // rows of kOutput: of the newest forward()
    std::int64_t num_draft_rows_ = 0;    // rows of kDraftHidden: of the newest draft()
    Scratch scratch_;
};

}  // namespace turnpike::engine
