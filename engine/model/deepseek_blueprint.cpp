// See deepseek_blueprint.h.
#include "engine/model/deepseek_blueprint.h"

#include <numeric>

#include "engine/model/deepseek_model.h"
#include "kernels/api/fp8.h"

namespace turnpike::engine {
namespace {

class DeepseekBlueprint final : public Blueprint {
  public:
    explicit DeepseekBlueprint(const DeepseekConfig& config) : config_(config) {}

    ModelInfo info() const override { return deepseek_info(config_); }

    ServingShape serving_shape() const override {
        // The FP8 blocks of q_b_proj straddle heads whose width is no multiple of a block's.
        const std::int64_t unit =
            config_.is_fp8 ? kernels::kFp8Block /
                                 std::gcd<std::int64_t>(kernels::kFp8Block, config_.mla.query_dim())
                           : 1;
        return {config_.mla.num_heads, unit, 1, config_.num_layers * config_.mla.cache_dim()};
    }

    std::vector<TensorSpec> tensors() const override { return deepseek_tensors(config_); }

    std::int64_t hidden_size() const override { return config_.hidden_size; }

    std::int64_t num_main_layers() const override { return config_.num_layers; }

    Result<std::unique_ptr<Model>> load(const Checkpoint& checkpoint,
                                        kernels::Backend& backend,
                                        bool with_draft_layer) const override {
        return DeepseekModel::load(config_, checkpoint, backend, with_draft_layer);
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
