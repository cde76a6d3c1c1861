// What the CUDA kernels read and write: weights, quantised activations and routings in device
// memory. Plain values over memory that the backend owns; a MatrixView of this folder points to
// f32 in device memory.
#pragma once

#include <cstdint>

#include "kernels/api/tensor.h"

namespace turnpike::kernels::cuda {

// A weight [rows, cols], row-major, `stride` elements from row to row: cols rounded up to 128, the
// columns beyond cols zero.
struct WeightView {
    const void* data = nullptr;
    DType dtype = DType::kF8E4M3;
    // kF8E4M3 only: f32 [ceil(rows / 128), stride / 128].
    const float* scales = nullptr;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    std::int64_t stride = 0;

    constexpr std::int64_t num_k_blocks() const { return stride / 128; }
};

// Activations as FP8 codes [rows, stride], the columns beyond cols zero, with one scale per row and
// 128 channels: scale of (row, block) at scales[block * scale_stride + row]. scale_stride is rows
// rounded up to a multiple of 4, so that every block's scales begin at 16 bytes (TMA).
struct CodedRows {
    std::uint8_t* codes = nullptr;
    float* scales = nullptr;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    std::int64_t stride = 0;
    std::int64_t scale_stride = 0;
};

// The three projections of one expert, all of one dtype. An array of them in device memory, indexed
// by expert, is what grouped kernels take.
struct ExpertView {
    WeightView gate;  // [intermediate, hidden]
    WeightView up;    // [intermediate, hidden]
    WeightView down;  // [hidden, intermediate]
};

// The choice of each row, in device memory: experts and weights [rows, num_chosen], experts
// ascending within a row. Slot r * num_chosen + i is the i-th choice of row r.
struct RoutingView {
    std::int32_t* experts = nullptr;
    float* weights = nullptr;
    std::int64_t rows = 0;
    std::int64_t num_chosen = 0;
    std::int64_t num_experts = 0;
    // Slots sorted by expert, ascending within one: slots of expert e are
    // order[offsets[e] .. offsets[e + 1]).
    std::int32_t* order = nullptr;    // [rows * num_chosen]
    std::int32_t* offsets = nullptr;  // [num_experts + 1]
};

}  // namespace turnpike::kernels::cuda
