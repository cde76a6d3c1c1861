// Whether a model fits a number of GPUs, and what goes where. Arithmetic over the config alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/base/result.h"

namespace turnpike::engine {

struct PlanRequest {
    std::int64_t num_gpus = 1;
    double gpu_memory_gib = 0.0;   // usable, of one GPU
    std::int64_t context = 0;      // tokens of one sequence; 0 = the checkpoint's context
    std::int64_t concurrency = 1;  // sequences of that length at a time
    double overhead_gib = 6.0;     // per GPU: activations, communication buffers, captured graphs
};

// One way to divide the model. Bytes are of one GPU, the fullest one.
struct LayoutPlan {
    std::string name;      // "tensor-parallel", "data-parallel attention"
    std::string obstacle;  // why the model cannot be divided so; empty when it can
    double weight_bytes = 0.0;
    double kv_bytes_per_token = 0.0;    // BF16, of a token whose cache lies on this GPU
    std::int64_t kv_tokens = 0;         // that all GPUs together hold beside the weights
    std::int64_t kv_tokens_needed = 0;  // context * concurrency
    double headroom_bytes = 0.0;        // left of one GPU when those are held; negative = missing

    bool fits() const { return obstacle.empty() && headroom_bytes >= 0.0; }
};

struct MemoryPlan {
    std::string architecture;
    std::uint64_t num_tensors = 0;  // of the whole checkpoint
    std::uint64_t num_bytes = 0;    // likewise
    std::int64_t context = 0;       // as asked for or taken
    std::vector<LayoutPlan> layouts;

    bool fits() const;
};

// Errors: as read_model_info; kInvalidArgument for a request out of range.
Result<MemoryPlan> plan_memory(const std::string& model_dir, const PlanRequest& request);

}  // namespace turnpike::engine
