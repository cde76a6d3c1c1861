// Maps of packed matrices for the copy engine.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace turnpike::kernels::cuda {

// Of a matrix in packed_offset()'s order with tiles of 8 rows: `num_units` strips of 1 KB across,
// `num_strips` down, copied `box_strips` under each other at a time. data: device memory.
CUtensorMap strips_map(const void* data, int num_units, int num_strips, int box_strips);

}  // namespace turnpike::kernels::cuda
