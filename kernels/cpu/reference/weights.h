// Weights of the reference backend: turned into f32 once, row-major as in the checkpoint.
#pragma once

#include <span>
#include <vector>

#include "config/base/result.h"
#include "kernels/api/attention.h"
#include "kernels/api/tensor.h"

namespace turnpike::kernels::reference {

class DenseWeight final : public PreparedWeight {
  public:
    // scales: none, or one per block of 128 x 128, row-major; values are then FP8 codes' numbers.
    DenseWeight(std::int64_t rows,
                std::int64_t cols,
                std::vector<float> values,
                std::vector<float> scales = {});

    std::int64_t rows() const override { return rows_; }

    std::int64_t cols() const override { return cols_; }

    const float* row(std::int64_t index) const { return values_.data() + index * cols_; }

    bool is_block_scaled() const { return !scales_.empty(); }

    // The scales of a row's blocks; only where is_block_scaled().
    const float* scale_row(std::int64_t index) const;

  private:
    std::int64_t rows_;
    std::int64_t cols_;
    std::vector<float> values_;
    std::vector<float> scales_;
};

// The weight as this backend prepared it; another backend's is a bug of the caller.
const DenseWeight& dense(const PreparedWeight& weight);

// As f32 numbers. Errors: kCorrupt naming the tensor and the place of a value that is not finite.
Result<DenseWeight> dequantise(const WeightSource& source);
// An FP8 weight with its scales beside it. Errors as above.
Result<DenseWeight> keep_block_scales(const WeightSource& source);

}  // namespace turnpike::kernels::reference
