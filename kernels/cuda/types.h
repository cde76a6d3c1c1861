// What the CUDA kernels read and write: weights, quantised activations and routings in device
// memory. Plain values over memory that the backend owns; a MatrixView of this folder points to
// f32 in device memory.
#pragma once

#include <cstdint>

#include "kernels/api/tensor.h"

// Also for device code.
#ifdef __CUDACC__
#define TURNPIKE_HOST_DEVICE __host__ __device__
#else
#define TURNPIKE_HOST_DEVICE
#endif

namespace turnpike::kernels::cuda {

// Where row `row` of a strip lies among its eight lines of 128 bytes.
TURNPIKE_HOST_DEVICE constexpr std::int64_t packed_line(std::int64_t row) {
    return row % 8 / 2 + row % 2 * 4;
}

// The row of a strip that lies in this line.
TURNPIKE_HOST_DEVICE constexpr std::int64_t packed_row(std::int64_t line) {
    return line % 4 * 2 + line / 4;
}

// The packed order of FP8 and BF16 matrices: a strip is 8 rows of 128 bytes of columns, 1 KB, each
// row a line of eight 16-byte pieces, a piece's number mixed with its line's (wgmma's 128-byte
// swizzle; PTX ISA, "Shared Memory Matrix Layout"). Rows two apart lie in lines that follow each
// other, so that two neighbouring rows of four pieces, which eight lanes of mma.sync read at once,
// lie in different banks too. `rows_per_tile / 8` strips make a tile: a tile of 64 rows is 8 KB in
// one run. Tiles ascend by columns, then by rows.
TURNPIKE_HOST_DEVICE constexpr std::int64_t packed_offset(std::int64_t row,
                                                          std::int64_t byte,
                                                          std::int64_t row_bytes,
                                                          std::int64_t rows_per_tile) {
    const std::int64_t tile =
        (row / rows_per_tile * (row_bytes / 128) + byte / 128) * rows_per_tile * 128;
    const std::int64_t line = packed_line(row);
    const std::int64_t piece = (byte % 128 / 16) ^ line;
    return tile + row % rows_per_tile / 8 * 1024 + line * 128 + piece * 16 + byte % 16;
}

inline constexpr std::int64_t kWeightTileRows = 64;
inline constexpr std::int64_t kCodedTileRows = 8;

// A weight [rows, cols], `stride` elements a row: cols rounded up to 128, the columns beyond cols
// zero. FP8 and BF16: packed in tiles of 64 rows, the rows beyond `rows` zero. F16 and F32:
// row-major.
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

// Activations as FP8 codes [rows, stride] in packed order, tiles of 8 rows, the columns beyond cols
// zero, with one scale per row and 128 channels: scale of (row, block) at scales[block *
// scale_stride
// + row]. Room for rows rounded up to 8; scale_stride is that.
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
    // Experts that have a slot, ascending, then -1.
    std::int32_t* active = nullptr;  // [num_experts]
    // Where the rows of the slots lie for the kernels that read whole tiles: those of expert e from
    // positions[e], a multiple of 8, on. slots: of each position, -1 where there is none.
    std::int32_t* positions = nullptr;  // [num_experts]
    std::int32_t* slots = nullptr;      // [max_positions()]

    constexpr std::int64_t num_slots() const { return rows * num_chosen; }

    // No more experts than this have a slot.
    constexpr std::int64_t max_active() const {
        return num_slots() < num_experts ? num_slots() : num_experts;
    }

    constexpr std::int64_t max_positions() const {
        return (num_slots() + 7 * max_active()) / 8 * 8;
    }
};

}  // namespace turnpike::kernels::cuda
