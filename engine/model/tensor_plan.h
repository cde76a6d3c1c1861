// The tensors of a checkpoint, derived from its config: what the loader expects and the synthesiser
// writes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model/deepseek_config.h"
#include "kernels/api/tensor.h"

namespace turnpike::engine {

enum class TensorKind {
    kEmbedding,   // BF16 or F32
    kHead,        // BF16 or F32
    kNorm,        // BF16 or F32
    kMatrix,      // never quantised: router, MTP's joint projection. BF16 or F32
    kFp8Matrix,   // F8_E4M3, its scales in a tensor of their own
    kScale,       // F32, one per block of 128 x 128
    kRouterBias,  // F32
};

struct TensorSpec {
    std::string name;
    TensorKind kind = TensorKind::kMatrix;
    std::vector<std::int64_t> shape;
    bool is_required = true;  // MTP layers are not run, so a checkpoint may leave them out
};

// "<weight name>_scale_inv", as the published checkpoints call it.
std::string scale_name(const std::string& weight_name);

bool allows(TensorKind kind, kernels::DType dtype);
kernels::DType preferred_dtype(TensorKind kind);

// In the order of the layers, each weight before its scale.
std::vector<TensorSpec> deepseek_tensors(const DeepseekConfig& config);

}  // namespace turnpike::engine
