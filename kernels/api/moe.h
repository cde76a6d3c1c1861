// Mixture of experts: how tokens choose experts, and the weights of one expert.
// DeepSeek-V3 inference/model.py, Gate and MoE.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/api/tensor.h"

namespace turnpike::kernels {

struct RouterShape {
    std::int64_t num_experts = 0;
    std::int64_t num_groups = 1;       // of equally many consecutive experts, two or more each
    std::int64_t num_kept_groups = 1;  // those with the largest sum of their two best biased scores
    std::int64_t num_chosen = 1;       // experts per token
    bool is_normalised = true;         // weights divided by their sum
    float scale = 1.0F;
};

// The choice of each row, host memory, [rows, num_chosen], experts ascending within a row.
struct Routing {
    std::int64_t rows = 0;
    std::int64_t num_chosen = 0;
    std::vector<std::int32_t> experts;
    std::vector<float> weights;
};

// down(silu(gate(x)) * up(x)).
struct MlpWeights {
    const PreparedWeight* gate = nullptr;  // [intermediate, hidden]
    const PreparedWeight* up = nullptr;    // [intermediate, hidden]
    const PreparedWeight* down = nullptr;  // [hidden, intermediate]
};

struct MoeBlock {
    const PreparedWeight* router = nullptr;  // [num_experts, hidden]
    const PreparedWeight* bias = nullptr;    // [1, num_experts]
    RouterShape shape;
    std::span<const MlpWeights> experts;
    MlpWeights shared;
};

}  // namespace turnpike::kernels
