// The tensors of a checkpoint: what the loader expects and the synthesiser writes. An architecture
// derives the list from its config.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/api/tensor.h"

namespace turnpike::engine {

enum class TensorKind {
    kEmbedding,   // BF16, F16 or F32
    kHead,        // BF16, F16 or F32
    kNorm,        // BF16, F16 or F32
    kMatrix,      // never quantised: router, MTP's joint projection. BF16, F16 or F32
    kFp8Matrix,   // F8_E4M3, its scales in a tensor of their own
    kScale,       // F32, one per block of 128 x 128
    kRouterBias,  // F32, BF16 or F16
};

// How a tensor is divided when several ranks hold one model.
enum class Spread {
    kReplicated,  // whole on every rank
    kAttention,   // by heads in the tensor-parallel layout, whole under data-parallel attention
    kSplit,       // evenly in both layouts
};

struct TensorSpec {
    std::string name;
    TensorKind kind = TensorKind::kMatrix;
    std::vector<std::int64_t> shape;
    bool is_required = true;  // a checkpoint may leave draft layers out where they are not run
    Spread spread = Spread::kSplit;
    bool is_copy = false;  // of another tensor; never loaded
};

// Appends `name` as a linear of [rows, cols]: FP8 with its scales, or a kMatrix.
void add_linear_tensors(const std::string& name,
                        std::int64_t rows,
                        std::int64_t cols,
                        bool is_fp8,
                        Spread spread,
                        std::vector<TensorSpec>& specs);
// Elements of the tensor, and its bytes in the preferred dtype.
std::uint64_t num_elements(const TensorSpec& spec);
std::uint64_t stored_bytes(const TensorSpec& spec);

// "<weight name>_scale_inv", as the published checkpoints call it.
std::string scale_name(const std::string& weight_name);

bool allows(TensorKind kind, kernels::DType dtype);
kernels::DType preferred_dtype(TensorKind kind);

}  // namespace turnpike::engine
