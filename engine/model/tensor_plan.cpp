// See tensor_plan.h.
#include "engine/model/tensor_plan.h"

#include <functional>
#include <numeric>
#include <utility>

#include "kernels/api/fp8.h"

namespace turnpike::engine {

std::string scale_name(const std::string& weight_name) {
    return weight_name + "_scale_inv";
}

kernels::DType preferred_dtype(TensorKind kind) {
    switch (kind) {
        case TensorKind::kEmbedding:
        case TensorKind::kHead:
        case TensorKind::kNorm:
        case TensorKind::kMatrix:
            return kernels::DType::kBf16;
        case TensorKind::kFp8Matrix:
            return kernels::DType::kF8E4M3;
        case TensorKind::kScale:
        case TensorKind::kRouterBias:
            return kernels::DType::kF32;
    }
    return kernels::DType::kF32;
}

bool allows(TensorKind kind, kernels::DType dtype) {
    switch (kind) {
        case TensorKind::kFp8Matrix:
        case TensorKind::kScale:
            return dtype == preferred_dtype(kind);
        case TensorKind::kEmbedding:
        case TensorKind::kHead:
        case TensorKind::kNorm:
        case TensorKind::kMatrix:
        case TensorKind::kRouterBias:  // tools that convert whole models round it too
            return dtype != kernels::DType::kF8E4M3;
    }
    return false;
}

void add_linear_tensors(const std::string& name,
                        std::int64_t rows,
                        std::int64_t cols,
                        bool is_fp8,
                        Spread spread,
                        std::vector<TensorSpec>& specs) {
    constexpr std::int64_t kBlock = kernels::kFp8Block;
    if (!is_fp8) {
        specs.push_back({name, TensorKind::kMatrix, {rows, cols}, true, spread});
        return;
    }
    specs.push_back({name, TensorKind::kFp8Matrix, {rows, cols}, true, spread});
    specs.push_back({scale_name(name),
                     TensorKind::kScale,
                     {(rows + kBlock - 1) / kBlock, (cols + kBlock - 1) / kBlock},
                     true,
                     spread});
}

std::uint64_t num_elements(const TensorSpec& spec) {
    return static_cast<std::uint64_t>(std::accumulate(spec.shape.begin(), spec.shape.end(),
                                                      std::int64_t{1}, std::multiplies<>()));
}

std::uint64_t stored_bytes(const TensorSpec& spec) {
    return num_elements(spec) * dtype_bytes(preferred_dtype(spec.kind));
}

}  // namespace turnpike::engine
