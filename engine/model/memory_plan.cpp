// See memory_plan.h.
#include "engine/model/memory_plan.h"

#include <algorithm>
#include <cmath>

#include "engine/model/blueprint.h"

namespace turnpike::engine {
namespace {

constexpr double kGib = 1024.0 * 1024.0 * 1024.0;
constexpr double kKvBytes = 2.0;  // BF16
constexpr std::int64_t kMaxGpus = 4096;

Status check_request(const PlanRequest& request, std::int64_t max_positions) {
    if (request.num_gpus < 1 || request.num_gpus > kMaxGpus) {
        return invalid_argument(
            "expected 1 to 4096 GPUs, found " + std::to_string(request.num_gpus), "gpus");
    }
    if (!(request.gpu_memory_gib > 0.0)) {
        return invalid_argument("expected more than 0 GiB of GPU memory", "gpu_memory");
    }
    if (request.context < 0 || request.context > max_positions) {
        return invalid_argument("expected a context of at most " + std::to_string(max_positions) +
                                    " tokens, found " + std::to_string(request.context),
                                "context");
    }
    if (request.concurrency < 1 || request.concurrency > 1'000'000) {
        return invalid_argument(
            "expected a concurrency of 1 to 1000000, found " + std::to_string(request.concurrency),
            "concurrency");
    }
    return {};
}

double weight_bytes(const std::vector<TensorSpec>& tensors, double gpus, bool splits_attention) {
    double bytes = 0.0;
    for (const TensorSpec& spec : tensors) {
        if (spec.is_copy) continue;
        const bool is_split = spec.spread == Spread::kSplit ||
                              (spec.spread == Spread::kAttention && splits_attention);
        bytes += static_cast<double>(stored_bytes(spec)) / (is_split ? gpus : 1.0);
    }
    return bytes;
}

std::string obstacle_of(const ServingShape& shape, AttentionLayout layout, std::int64_t gpus) {
    const auto partition = Partition::make(shape, layout, 0, static_cast<int>(gpus));
    return partition ? "" : partition.error().message;
}

// num_caches: GPUs whose caches hold different sequences.
void fill_kv(const PlanRequest& request, std::int64_t num_caches, LayoutPlan& layout) {
    const double free =
        (request.gpu_memory_gib - request.overhead_gib) * kGib - layout.weight_bytes;
    const double per_cache = std::max(0.0, std::floor(free / layout.kv_bytes_per_token));
    layout.kv_tokens = static_cast<std::int64_t>(per_cache) * num_caches;
    layout.kv_tokens_needed = request.context * request.concurrency;
    const std::int64_t sequences = (request.concurrency + num_caches - 1) / num_caches;
    const auto held = static_cast<double>(sequences * request.context);
    layout.headroom_bytes = free - held * layout.kv_bytes_per_token;
}

LayoutPlan tensor_parallel(const std::vector<TensorSpec>& tensors,
                           const ServingShape& shape,
                           const PlanRequest& request) {
    LayoutPlan layout;
    layout.name = "tensor-parallel";
    layout.obstacle = obstacle_of(shape, AttentionLayout::kTensorParallel, request.num_gpus);
    layout.weight_bytes = weight_bytes(tensors, static_cast<double>(request.num_gpus), true);
    // Ranks beyond the key/value heads hold copies of a cache.
    const std::int64_t parts = std::min(request.num_gpus, shape.num_kv_heads);
    layout.kv_bytes_per_token =
        static_cast<double>(shape.kv_values_per_token) * kKvBytes / static_cast<double>(parts);
    fill_kv(request, 1, layout);
    return layout;
}

LayoutPlan data_parallel_attention(const std::vector<TensorSpec>& tensors,
                                   const ServingShape& shape,
                                   const PlanRequest& request) {
    LayoutPlan layout;
    layout.name = "data-parallel attention";
    layout.obstacle = obstacle_of(shape, AttentionLayout::kDataParallel, request.num_gpus);
    layout.weight_bytes = weight_bytes(tensors, static_cast<double>(request.num_gpus), false);
    layout.kv_bytes_per_token = static_cast<double>(shape.kv_values_per_token) * kKvBytes;
    fill_kv(request, request.num_gpus, layout);
    return layout;
}

}  // namespace

bool MemoryPlan::fits() const {
    return std::any_of(layouts.begin(), layouts.end(),
                       [](const LayoutPlan& layout) { return layout.fits(); });
}

Result<MemoryPlan> plan_memory(const std::string& model_dir, const PlanRequest& request) {
    auto blueprint = load_blueprint(model_dir + "/config.json");
    if (!blueprint) return blueprint.error();
    const ModelInfo info = (*blueprint)->info();
    RETURN_IF_ERROR(check_request(request, info.max_positions));
    PlanRequest taken = request;
    if (taken.context == 0) taken.context = info.max_positions;
    const auto tensors = (*blueprint)->tensors();
    const ServingShape shape = (*blueprint)->serving_shape();
    MemoryPlan plan;
    plan.architecture = info.architecture;
    plan.context = taken.context;
    plan.num_tensors = tensors.size();
    for (const TensorSpec& spec : tensors) plan.num_bytes += stored_bytes(spec);
    plan.layouts = {tensor_parallel(tensors, shape, taken),
                    data_parallel_attention(tensors, shape, taken)};
    return plan;
}

}  // namespace turnpike::engine
