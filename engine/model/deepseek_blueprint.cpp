// See deepseek_blueprint.h.
#include "engine/model/deepseek_blueprint.h"

#include <numeric>
#include <utility>

#include "engine/model/deepseek_model.h"
#include "kernels/api/fp8.h"

namespace turnpike::engine {
namespace {

// The fewest heads of so many rows that end at a border of FP8 blocks.
std::int64_t heads_per_block(std::int64_t rows) {
    return kernels::kFp8Block / std::gcd<std::int64_t>(kernels::kFp8Block, rows);
}

class DeepseekBlueprint final : public Blueprint {
  public:
    explicit DeepseekBlueprint(const DeepseekConfig& config) : config_(config) {}

    ModelInfo info() const override { return deepseek_info(config_); }

    ServingShape serving_shape() const override {
        const kernels::MlaShape& mla = config_.mla;
        // The FP8 blocks of q_b_proj and kv_b_proj straddle heads whose rows are no multiple of a
        // block's.
        const std::int64_t unit =
            std::lcm(heads_per_block(mla.query_dim()), heads_per_block(mla.nope_dim + mla.v_dim));
        ServingShape shape;
        shape.num_heads = mla.num_heads;
        shape.head_unit = config_.is_fp8 ? unit : 1;
        shape.num_kv_heads = 1;
        shape.kv_values_per_token = config_.num_layers * mla.cache_dim();
        shape.head_columns = mla.v_dim;
        shape.num_experts = config_.router.num_experts;
        shape.vocab_size = config_.vocab_size;
        return shape;
    }

    std::vector<TensorSpec> tensors() const override { return deepseek_tensors(config_); }

    std::int64_t hidden_size() const override { return config_.hidden_size; }

    std::int64_t num_main_layers() const override { return config_.num_layers; }

    Result<std::unique_ptr<Model>> load(const Checkpoint& checkpoint,
                                        RankOps ranks,
                                        bool with_draft_layer) const override {
        return DeepseekModel::load(config_, checkpoint, std::move(ranks), with_draft_layer);
    }

  private:
    const DeepseekConfig config_;
};

}  // namespace

Result<std::unique_ptr<Blueprint>> parse_deepseek_blueprint(std::string_view json_text,
                                                            const std::string& file_name) {
    auto config = parse_deepseek_config(json_text, file_name);
    if (!config) return config.error();
    return std::unique_ptr<Blueprint>(std::make_unique<DeepseekBlueprint>(*config));
}

}  // namespace turnpike::engine
