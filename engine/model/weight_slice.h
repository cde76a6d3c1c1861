// Parts of stored weights, so that a rank takes its share and no more: what is not in the part is
// not read from the file.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/model/partition.h"
#include "kernels/api/tensor.h"

namespace turnpike::engine {

// Rows of a weight, in place. Of FP8 the first one is at a multiple of 128.
kernels::WeightSource row_slice(const kernels::WeightSource& source, Range rows);

// Columns of a weight, copied. Of FP8 the first one is at a multiple of 128.
struct ColumnSlice {
    std::vector<std::byte> values;
    std::vector<std::byte> scales;
    kernels::WeightSource source;  // points into the two above
};

ColumnSlice column_slice(const kernels::WeightSource& source, Range columns);

}  // namespace turnpike::engine
