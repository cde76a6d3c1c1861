// See load.h: config, checkpoint, backend, weights and cache, in that order, each checked before
// the next.
#include "engine/model/load.h"

#include <unistd.h>

#include <numeric>
#include <utility>

#include "config/base/check.h"
#include "config/base/limits.h"
#include "engine/model/blueprint.h"
#include "engine/model/checkpoint.h"
#include "engine/model/leading_model.h"
#include "engine/model/make_backend.h"
#include "engine/model/model_runner.h"
#include "engine/model/opened_model.h"
#include "engine/model/rank_options.h"
#include "engine/model/tensor_plan.h"
#include "kernels/api/cpu.h"

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
    std::unique_ptr<Blueprint> blueprint;
    Checkpoint checkpoint;
    std::uint64_t num_weights = 0;  // of the layers that are run
    std::uint64_t num_bytes = 0;    // of the same, in their usual formats
};

// The tensors that have to be there for what is going to be run.
std::vector<TensorSpec> planned_tensors(const Blueprint& blueprint, bool with_draft_layer) {
    std::vector<TensorSpec> plan = blueprint.tensors();
    for (TensorSpec& spec : plan) {
        if (with_draft_layer && !spec.is_copy) spec.is_required = true;
    }
    return plan;
}

Result<CheckedCheckpoint> open_checked(const std::string& model_dir, bool with_draft_layer) {
    const std::string config_path = model_dir + "/config.json";
    auto blueprint = load_blueprint(config_path);
    if (!blueprint) return blueprint.error();
    if (with_draft_layer && (*blueprint)->info().num_draft_layers != 1) {
        return invalid_argument(config_path +
                                    ": expected one multi-token-prediction layer to load, found " +
                                    std::to_string((*blueprint)->info().num_draft_layers),
                                "with_draft_layer");
    }
    auto checkpoint = Checkpoint::open(model_dir);
    if (!checkpoint) return checkpoint.error();
    const auto plan = planned_tensors(**blueprint, with_draft_layer);
    RETURN_IF_ERROR(checkpoint->check(plan, (*blueprint)->num_main_layers()));
    CheckedCheckpoint checked{std::move(*blueprint), std::move(*checkpoint)};
    for (const TensorSpec& spec : plan) {
        if (!spec.is_required) continue;
        checked.num_weights += num_elements(spec);
        checked.num_bytes += stored_bytes(spec);
    }
    return checked;
}

// The scalar backend keeps everything in f32, the others weights as they are stored. Refused early:
// the kernel would kill the process late.
Status check_memory(const CheckedCheckpoint& checked,
                    const std::string& isa,
                    std::int64_t kv_tokens,
                    bool with_draft_layer,
                    const Partition& partition) {
    const auto memory = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) *
                        static_cast<double>(::sysconf(_SC_PAGESIZE));
    // The draft layer's rows are as wide as a main layer's.
    const double num_main = static_cast<double>(checked.blueprint->num_main_layers());
    const double num_layers = num_main + (with_draft_layer ? 1.0 : 0.0);
    const double per_token =
        static_cast<double>(checked.blueprint->info().kv_bytes_per_token) * num_layers / num_main;
    const double weights = isa == kernels::to_string(kernels::CpuIsa::kScalar)
                               ? static_cast<double>(checked.num_weights) * sizeof(float)
                               : static_cast<double>(checked.num_bytes);
    // All ranks are on this host. Each has a cache of its key/value heads; of the weights, what
    // they do not divide is small.
    const auto num_kv_heads = static_cast<double>(checked.blueprint->serving_shape().num_kv_heads);
    const double num_caches =
        static_cast<double>(partition.kv_heads().size() * partition.size()) / num_kv_heads;
    const double needed = weights + per_token * static_cast<double>(kv_tokens) * num_caches;
    if (needed <= memory) return {};
    constexpr double kGib = 1024.0 * 1024.0 * 1024.0;
    return invalid_argument("the weights and " + std::to_string(kv_tokens) + " KV positions need " +
                            std::to_string(needed / kGib) + " GiB, this host has " +
                            std::to_string(memory / kGib) +
                            " GiB; use a smaller model or fewer positions");
}

Status check_options(const RunnerOptions& options, const ModelInfo& info) {
    if (options.kv_tokens < 1 || options.kv_tokens > kMaxKvTokens) {
        return invalid_argument("kv_tokens: expected 1 to " + std::to_string(kMaxKvTokens) +
                                    ", found " + std::to_string(options.kv_tokens),
                                "kv_tokens");
    }
    if (options.num_tokens < 0 || options.num_tokens > info.vocab_size) {
        return invalid_argument("the tokenizer has " + std::to_string(options.num_tokens) +
                                    " tokens, the model's head " + std::to_string(info.vocab_size) +
                                    " rows",
                                "num_tokens");
    }
    return {};
}

Result<OpenedModel> open_share(const RunnerOptions& options) {
    auto checked = open_checked(options.model_dir, options.with_draft_layer);
    if (!checked) return checked.error();
    RETURN_IF_ERROR(check_options(options, checked->blueprint->info()));
    const int num_ranks = options.ranks.size();
    auto partition = Partition::make(checked->blueprint->serving_shape(), options.ranks.attention,
                                     options.ranks.rank(), num_ranks);
    if (!partition) return partition.error();
    auto backend = make_backend(options.isa, {kernel_numerics(options.numerics),
                                              options.num_threads, options.is_deterministic});
    if (!backend) return backend.error();
    if (options.isa != kCudaName) {
        RETURN_IF_ERROR(check_memory(*checked, options.isa, options.kv_tokens,
                                     options.with_draft_layer, *partition));
    }
    const int num_pools = partition->num_pools();
    auto model =
        checked->blueprint->load(checked->checkpoint, RankOps(**backend, *partition, options.ranks),
                                 options.with_draft_layer);
    if (!model) return model.error();
    if (num_ranks > 1 && options.ranks.rank() == 0)
        model = std::unique_ptr<Model>(
            std::make_unique<LeadingModel>(std::move(*model), options.ranks));

    OpenedModel opened;
    opened.num_blocks = (options.kv_tokens + limits::kKvBlockTokens - 1) / limits::kKvBlockTokens;
    opened.num_pools = num_pools;
    opened.num_tokens = options.num_tokens > 0 ? options.num_tokens : (*model)->info().vocab_size;
    opened.has_draft_layer = options.with_draft_layer;
    opened.cache = (*model)->make_kv_cache(opened.num_blocks);
    opened.backend = std::move(*backend);
    opened.model = std::move(*model);
    return opened;
}

}  // namespace

// A rank that cannot load tells the others, which wait for it.
Result<OpenedModel> open_model(const RunnerOptions& options) {
    kernels::Communicator* communicator = options.ranks.communicator;
    if (communicator == nullptr) return open_share(options);
    if (communicator->rank() == 0) RETURN_IF_ERROR(send_options(options));
    auto opened = open_share(options);
    if (!opened) {
        communicator->abort("rank " + std::to_string(communicator->rank()) + ": " +
                            opened.error().message);
        return opened;
    }
    RETURN_IF_ERROR(communicator->barrier());
    return opened;
}

Result<ModelInfo> read_model_info(const std::string& model_dir) {
    auto blueprint = load_blueprint(model_dir + "/config.json");
    if (!blueprint) return blueprint.error();
    return (*blueprint)->info();
}

Status check_checkpoint(const std::string& model_dir) {
    auto checked = open_checked(model_dir, false);
    if (!checked) return checked.error();
    return {};
}

Status run_rank(const RankLink& link) {
    CHECK(link.communicator != nullptr && link.rank() > 0);
    auto options = receive_options(link);
    if (!options) return options.error();
    auto opened = open_model(*options);
    if (!opened) return opened.error();
    return follow(*opened->model, *opened->cache, *link.communicator);
}

Result<std::unique_ptr<Runner>> load_runner(const RunnerOptions& options) {
    auto opened = open_model(options);
    if (!opened) return opened.error();
    return std::unique_ptr<Runner>(std::make_unique<ModelRunner>(std::move(*opened)));
}

}  // namespace turnpike::engine
