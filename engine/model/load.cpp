// See load.h: config, checkpoint, backend, weights and cache, in that order, each checked before
// the next.
#include "engine/model/load.h"

#include <unistd.h>

#include <numeric>
#include <utility>

#include "config/base/check.h"
#include "config/base/limits.h"
#include "engine/model/checkpoint.h"
#include "engine/model/deepseek_config.h"
#include "engine/model/deepseek_model.h"
#include "engine/model/model_runner.h"
#include "engine/model/opened_model.h"
#include "engine/model/tensor_plan.h"
#include "kernels/api/cpu_reference.h"

namespace turnpike::engine {
namespace {

static_assert(limits::kKvBlockTokens == kernels::kCacheBlockTokens);

constexpr std::int64_t kMaxKvTokens = std::int64_t{1} << 36;  // 2^30 blocks: a block id is an int32

kernels::Numerics kernel_numerics(schema::Numerics numerics) {
    switch (numerics) {
        case schema::Numerics::kW8A16:
            return kernels::Numerics::kW8A16;
        case schema::Numerics::kW8A8Block:
            return kernels::Numerics::kW8A8Block;
    }
    return kernels::Numerics::kW8A16;
}

struct CheckedCheckpoint {
    DeepseekConfig config;
    Checkpoint checkpoint;
    std::int64_t num_weights = 0;  // of the layers that are run
};

Result<CheckedCheckpoint> open_checked(const std::string& model_dir) {
    auto config = load_deepseek_config(model_dir + "/config.json");
    if (!config) return config.error();
    auto checkpoint = Checkpoint::open(model_dir);
    if (!checkpoint) return checkpoint.error();
    const auto plan = deepseek_tensors(*config);
    RETURN_IF_ERROR(checkpoint->check(plan, config->num_layers));
    CheckedCheckpoint checked{*config, std::move(*checkpoint)};
    for (const TensorSpec& spec : plan) {
        if (!spec.is_required) continue;
        checked.num_weights += std::accumulate(spec.shape.begin(), spec.shape.end(),
                                               std::int64_t{1}, std::multiplies<>());
    }
    return checked;
}

// The reference keeps everything in f32. Refused early: the kernel would kill the process late.
Status check_memory(const CheckedCheckpoint& checked, std::int64_t kv_tokens) {
    const auto memory = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) *
                        static_cast<double>(::sysconf(_SC_PAGESIZE));
    const auto per_token = static_cast<double>(deepseek_info(checked.config).kv_bytes_per_token);
    const double weights = static_cast<double>(checked.num_weights) * sizeof(float);
    const double needed = weights + per_token * static_cast<double>(kv_tokens);
    if (needed <= memory) return {};
    constexpr double kGib = 1024.0 * 1024.0 * 1024.0;
    return invalid_argument("the weights and " + std::to_string(kv_tokens) + " KV positions need " +
                            std::to_string(needed / kGib) + " GiB in f32, this host has " +
                            std::to_string(memory / kGib) +
                            " GiB; use a smaller model or fewer positions");
}

Status check_options(const RunnerOptions& options, const DeepseekConfig& config) {
    if (options.kv_tokens < 1 || options.kv_tokens > kMaxKvTokens) {
        return invalid_argument("kv_tokens: expected 1 to " + std::to_string(kMaxKvTokens) +
                                    ", found " + std::to_string(options.kv_tokens),
                                "kv_tokens");
    }
    if (options.num_tokens < 0 || options.num_tokens > config.vocab_size) {
        return invalid_argument("the tokenizer has " + std::to_string(options.num_tokens) +
                                    " tokens, the model's head " +
                                    std::to_string(config.vocab_size) + " rows",
                                "num_tokens");
    }
    return {};
}

}  // namespace

Result<OpenedModel> open_model(const RunnerOptions& options) {
    auto checked = open_checked(options.model_dir);
    if (!checked) return checked.error();
    RETURN_IF_ERROR(check_options(options, checked->config));
    RETURN_IF_ERROR(check_memory(*checked, options.kv_tokens));
    auto backend = kernels::make_cpu_reference_backend(
        {kernel_numerics(options.numerics), options.num_threads});
    if (!backend) return backend.error();
    auto model = DeepseekModel::load(checked->config, checked->checkpoint, **backend);
    if (!model) return model.error();

    OpenedModel opened;
    opened.num_blocks = (options.kv_tokens + limits::kKvBlockTokens - 1) / limits::kKvBlockTokens;
    opened.num_tokens = options.num_tokens > 0 ? options.num_tokens : checked->config.vocab_size;
    opened.cache = (*model)->make_kv_cache(opened.num_blocks);
    opened.backend = std::move(*backend);
    opened.model = std::move(*model);
    return opened;
}

Result<ModelInfo> read_model_info(const std::string& model_dir) {
    auto config = load_deepseek_config(model_dir + "/config.json");
    if (!config) return config.error();
    return deepseek_info(*config);
}

Status check_checkpoint(const std::string& model_dir) {
    auto checked = open_checked(model_dir);
    if (!checked) return checked.error();
    return {};
}

Result<std::unique_ptr<Runner>> load_runner(const RunnerOptions& options) {
    auto opened = open_model(options);
    if (!opened) return opened.error();
    return std::unique_ptr<Runner>(std::make_unique<ModelRunner>(std::move(*opened)));
}

Result<std::vector<float>> compute_logits(const RunnerOptions& options,
                                          std::span<const TokenId> tokens,
                                          std::int64_t num_prompt_rows) {
    const auto count = static_cast<std::int64_t>(tokens.size());
    if (count == 0) return invalid_argument("expected at least one token, found none", "tokens");
    RunnerOptions sized = options;
    if (sized.kv_tokens == 0) sized.kv_tokens = count;
    auto opened = open_model(sized);
    if (!opened) return opened.error();
    const ModelInfo& info = opened->model->info();
    if (count > info.max_positions || count > opened->num_blocks * limits::kKvBlockTokens) {
        return invalid_argument("more tokens than positions: " + std::to_string(count), "tokens");
    }
    for (const TokenId token : tokens) {
        if (token >= 0 && token < info.vocab_size) continue;
        return invalid_argument("expected token ids below " + std::to_string(info.vocab_size) +
                                    ", found " + std::to_string(token),
                                "tokens");
    }
    std::vector<BlockId> blocks(static_cast<std::size_t>(opened->num_blocks));
    std::iota(blocks.begin(), blocks.end(), 0);
    StepRows step;
    const std::vector<TokenId> row_tokens(tokens.begin(), tokens.end());
    step.add_rows(row_tokens, 0, num_prompt_rows, blocks);
    step.rows.logit_rows.resize(tokens.size());
    std::iota(step.rows.logit_rows.begin(), step.rows.logit_rows.end(), 0);
    const kernels::MatrixView logits = opened->model->forward(step.rows, *opened->cache);
    std::vector<float> values(tokens.size() * static_cast<std::size_t>(info.vocab_size));
    opened->backend->download(logits, values);
    return values;
}

}  // namespace turnpike::engine
