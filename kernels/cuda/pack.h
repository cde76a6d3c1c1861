// Putting matrices into the packed order of types.h.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace turnpike::kernels::cuda {

// Bytes of a packed matrix.
constexpr std::size_t packed_bytes(std::int64_t rows,
                                   std::int64_t row_bytes,
                                   std::int64_t rows_per_tile) {
    return static_cast<std::size_t>((rows + rows_per_tile - 1) / rows_per_tile * rows_per_tile *
                                    row_bytes);
}

// from: device memory, row-major [rows][from_row_bytes], at any alignment; to: packed_bytes of
// device memory, zero where there is no source. row_bytes is a multiple of 128.
void pack(const void* from,
          std::int64_t rows,
          std::int64_t from_row_bytes,
          std::int64_t row_bytes,
          std::int64_t rows_per_tile,
          void* to,
          cudaStream_t stream);

}  // namespace turnpike::kernels::cuda
