// DeepseekModel: the forward pass of DeepSeek-V3 and R1 over a backend's ops.
// DeepSeek-V3 inference/model.py, Transformer.forward; MTP layers are not run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/model/checkpoint.h"
#include "engine/model/deepseek_config.h"
#include "engine/model/model.h"
#include "kernels/api/backend.h"

namespace turnpike::engine {

ModelInfo deepseek_info(const DeepseekConfig& config);

class DeepseekModel final : public Model {
  public:
    // The checkpoint has passed its check against this config; it is not needed afterwards. The
    // backend outlives the model. Errors: kCorrupt for values that are not finite.
    static Result<std::unique_ptr<Model>> load(const DeepseekConfig& config,
                                               const Checkpoint& checkpoint,
                                               kernels::Backend& backend);

    const ModelInfo& info() const override { return info_; }

    std::unique_ptr<kernels::KvCache> make_kv_cache(std::int64_t num_blocks) override;
    kernels::MatrixView forward(const ForwardRows& rows, kernels::KvCache& cache) override;

  private:
    using Weight = std::unique_ptr<kernels::PreparedWeight>;

    struct Mlp {
        Weight gate, up, down;  // [width, hidden], [width, hidden], [hidden, width]

        kernels::MlpWeights view() const { return {gate.get(), up.get(), down.get()}; }
    };

    struct Attention {
        Weight q_a;        // [q_lora_rank, hidden]; null without a q_lora_rank
        Weight q_a_norm;   // [q_lora_rank]; null likewise
        Weight q_b;        // [heads * query_dim, q_lora_rank or hidden]
        Weight kv_a;       // [cache_dim, hidden]
        Weight kv_a_norm;  // [latent_dim]
        Weight kv_b;       // [heads * (nope_dim + v_dim), latent_dim]
        Weight o;          // [hidden, heads * v_dim]
    };

    struct Layer {
        Weight input_norm;
        Attention attention;
        Weight post_norm;
        Mlp mlp;             // the dense MLP, or the shared expert
        Weight router;       // [experts, hidden]; null in a dense layer, as the two below
        Weight router_bias;  // [experts]
        std::vector<Mlp> experts;
        std::vector<kernels::MlpWeights> expert_views;
    };

    // Matrices of a step, grown to the largest step so far.
    enum Scratch {
        kHidden,
        kNormed,
        kQueryLatent,
        kQueries,
        kKvRows,
        kAttended,
        kProjected,
        kGate,
        kUp,
        kRouterLogits,
        kExpertOut,
        kLastHidden,
        kLogits,
        kNumScratch,
    };

    DeepseekModel(const DeepseekConfig& config, kernels::Backend& backend);

    // Loading. Each returns the first error.
    Status load_weight(const Checkpoint& checkpoint, const std::string& name, Weight& out);
    Status load_mlp(const Checkpoint& checkpoint, const std::string& prefix, Mlp& out);
    Status load_attention(const Checkpoint& checkpoint, const std::string& prefix, Attention& out);
    Status load_layer(const Checkpoint& checkpoint, std::int64_t index, Layer& out);
    Status load_all(const Checkpoint& checkpoint);

    kernels::MatrixView scratch(Scratch which, std::int64_t rows, std::int64_t cols);
    void project_queries(const Attention& weights,
                         kernels::MatrixView x,
                         const kernels::RopeRows& rope,
                         kernels::MatrixView queries);
    void attend(const Attention& weights,
                const ForwardRows& rows,
                const kernels::RopeRows& rope,
                std::int64_t layer,
                kernels::KvCache& cache,
                kernels::MatrixView x,
                kernels::MatrixView out);
    void run_mlp(const Mlp& weights, kernels::MatrixView x, kernels::MatrixView out);
    void run_moe(const Layer& layer, kernels::MatrixView x, kernels::MatrixView hidden);

    const DeepseekConfig config_;
    const ModelInfo info_;
    const std::vector<double> rope_frequencies_;
    kernels::Backend& backend_;
    Weight embedding_;  // [vocab, hidden]
    std::vector<Layer> layers_;
    Weight final_norm_;  // [hidden]
    Weight head_;        // [vocab, hidden]
    std::vector<std::unique_ptr<kernels::Buffer>> scratch_;
};

}  // namespace turnpike::engine
