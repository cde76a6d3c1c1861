// Which kernels a linear of quantised rows goes by. Pure.
#pragma once

#include <cstdint>

namespace turnpike::kernels::cuda {

// Whether gemm() is faster than stream_linear() for `rows` rows of x and a weight of `weight_rows`
// rows and `num_units` blocks of 128 columns. From times on an H200; see linear_plan.cpp.
bool prefers_gemm(std::int64_t rows,
                  std::int64_t weight_rows,
                  std::int64_t num_units,
                  std::int64_t num_multiprocessors);

}  // namespace turnpike::kernels::cuda
