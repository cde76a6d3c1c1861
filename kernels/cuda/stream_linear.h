// Linears that stream packed weights through shared memory: the decode path. A block takes 128 rows
// of weights, a cluster of up to eight blocks shares their K, and the blocks' sums are added in the
// order of K. How K is cut depends on the weight alone, so a row's bits are the same whatever other
// rows there are. The definition is kernels/cpu/reference/linear.h. All launch on `stream`, none
// waits.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

// f32 rows in two BF16 parts, high and low, each packed in tiles of 8 rows of `stride` values.
struct SplitRows {
    std::uint16_t* high = nullptr;
    std::uint16_t* low = nullptr;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    std::int64_t stride = 0;
};

// x in two parts: their sum has 16 bits of mantissa.
void split(MatrixView x, const SplitRows& rows, cudaStream_t stream);

struct StreamProduct {
    WeightView weight;
    MatrixView out;  // [x.rows, weight.rows] f32
};

// Some with one x and one dtype, in one launch: each wants too few blocks to fill the
// GPU. K is cut as the weights together say.
inline constexpr int kMaxProducts = 3;

struct StreamGroup {
    StreamProduct products[kMaxProducts];
    int count = 0;
};

void stream_linears(const CodedRows& x, const StreamGroup& group, cudaStream_t stream);
void stream_linears(const SplitRows& x, const StreamGroup& group, cudaStream_t stream);

// w8a8_block: FP8 weights. out: [x.rows, weight.rows] f32.
void stream_linear(const CodedRows& x,
                   const WeightView& weight,
                   MatrixView out,
                   cudaStream_t stream);
// BF16 weights.
void stream_linear(const SplitRows& x,
                   const WeightView& weight,
                   MatrixView out,
                   cudaStream_t stream);

}  // namespace turnpike::kernels::cuda
