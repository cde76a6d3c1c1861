// See tensor_map.h.
#include "kernels/cuda/tensor_map.h"

#include <cuda_runtime_api.h>

#include "config/base/check.h"
#include "kernels/cuda/error.h"

namespace turnpike::kernels::cuda {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

// Of the driver, which is not linked.
Encode find_encode() {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    CUDA_CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000,
                                                cudaEnableDefault, &result));
    CHECK(result == cudaDriverEntryPointSuccess);
    return reinterpret_cast<Encode>(found);
}

}  // namespace

CUtensorMap strips_map(const void* data, int num_units, int num_strips, int box_strips) {
    static const Encode encode = find_encode();
    constexpr cuuint64_t kStripBytes = 1024;
    constexpr cuuint32_t kStripWords = kStripBytes / 4;
    const auto units = static_cast<cuuint64_t>(num_units);
    const cuuint64_t sizes[] = {kStripWords, units, static_cast<cuuint64_t>(num_strips)};
    const cuuint64_t strides[] = {kStripBytes, kStripBytes * units};
    const cuuint32_t box[] = {kStripWords, 1, static_cast<cuuint32_t>(box_strips)};
    const cuuint32_t steps[] = {1, 1, 1};
    CUtensorMap map{};
    const CUresult status =
        encode(&map, CU_TENSOR_MAP_DATA_TYPE_UINT32, 3, const_cast<void*>(data), sizes, strides,
               box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
               CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    CHECK(status == CUDA_SUCCESS);
    return map;
}

}  // namespace turnpike::kernels::cuda
