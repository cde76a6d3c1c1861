// See linear_plan.h. Microseconds, fitted to gemm_bench and layer_bench on an H200.
#include "kernels/cuda/linear_plan.h"

#include <algorithm>

namespace turnpike::kernels::cuda {
namespace {

// gemm() computes tiles of 128 by 256, one a multiprocessor at a time: so long for each block of K,
// and so long to begin and to end.
constexpr std::int64_t kTileRows = 128;
constexpr std::int64_t kTileColumns = 256;
constexpr double kTileUnit = 0.85;
constexpr double kBegin = 6.0;

// stream_linear() takes 64 rows at a time; for each block of K it reads the weight's rows, and no
// faster than its ring turns.
constexpr std::int64_t kPassRows = 64;
constexpr double kFastestUnit = 0.3;
constexpr double kUnitOfWeightRow = 8e-5;

std::int64_t pieces(std::int64_t count, std::int64_t size) {
    return (count + size - 1) / size;
}

}  // namespace

bool prefers_gemm(std::int64_t rows,
                  std::int64_t weight_rows,
                  std::int64_t num_units,
                  std::int64_t num_multiprocessors) {
    if (rows <= kPassRows) return false;
    const std::int64_t tiles = pieces(rows, kTileRows) * pieces(weight_rows, kTileColumns);
    const auto turns = static_cast<double>(pieces(tiles, num_multiprocessors));
    const auto units = static_cast<double>(num_units);
    const auto passes = static_cast<double>(pieces(rows, kPassRows));
    const double pass_unit =
        std::max(kFastestUnit, kUnitOfWeightRow * static_cast<double>(weight_rows));
    return turns * units * kTileUnit + kBegin < passes * units * pass_unit;
}

}  // namespace turnpike::kernels::cuda
