// See pack.h.
#include "config/base/check.h"
#include "kernels/cuda/error.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {
namespace {

constexpr std::int64_t kPiece = 16;

// A thread a piece of 16 bytes of a row.
__global__ void pack_kernel(const std::uint8_t* from,
                            std::int64_t rows,
                            std::int64_t from_row_bytes,
                            std::int64_t row_bytes,
                            std::int64_t rows_per_tile,
                            std::uint8_t* to) {
    const std::int64_t per_row = row_bytes / kPiece;
    const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= rows * per_row) return;
    const std::int64_t row = i / per_row;
    const std::int64_t byte = i % per_row * kPiece;
    alignas(16) std::uint8_t piece[kPiece];
    for (int b = 0; b < kPiece; ++b)
        piece[b] = byte + b < from_row_bytes ? from[row * from_row_bytes + byte + b] : 0;
    *reinterpret_cast<uint4*>(to + packed_offset(row, byte, row_bytes, rows_per_tile)) =
        *reinterpret_cast<const uint4*>(piece);
}

}  // namespace

void pack(const void* from,
          std::int64_t rows,
          std::int64_t from_row_bytes,
          std::int64_t row_bytes,
          std::int64_t rows_per_tile,
          void* to,
          cudaStream_t stream) {
    CHECK(row_bytes % 128 == 0 && from_row_bytes <= row_bytes && rows_per_tile % 8 == 0);
    constexpr std::int64_t kThreads = 256;
    const std::int64_t pieces = rows * (row_bytes / kPiece);
    if (pieces == 0) return;
    pack_kernel<<<static_cast<unsigned>((pieces + kThreads - 1) / kThreads), kThreads, 0, stream>>>(
        static_cast<const std::uint8_t*>(from), rows, from_row_bytes, row_bytes, rows_per_tile,
        static_cast<std::uint8_t*>(to));
    CUDA_CHECK(cudaGetLastError());
}

}  // namespace turnpike::kernels::cuda
