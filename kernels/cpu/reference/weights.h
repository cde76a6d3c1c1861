// Weights of the reference backend: dequantised to f32 once, row-major as in the checkpoint.
#pragma once

#include <span>
#include <vector>

#include "config/base/result.h"
#include "kernels/api/attention.h"
#include "kernels/api/tensor.h"

namespace turnpike::kernels::reference {

class DenseWeight final : public PreparedWeight {
  public:
    DenseWeight(std::int64_t rows, std::int64_t cols, std::vector<float> values);

    std::int64_t rows() const override { return rows_; }

    std::int64_t cols() const override { return cols_; }

    const float* row(std::int64_t index) const { return values_.data() + index * cols_; }

  private:
    std::int64_t rows_;
    std::int64_t cols_;
    std::vector<float> values_;
};

// The weight as this backend prepared it; another backend's is a bug of the caller.
const DenseWeight& dense(const PreparedWeight& weight);

// Errors: kCorrupt naming the tensor and the place of a value that is not finite.
Result<std::vector<float>> dequantise(const WeightSource& source);

}  // namespace turnpike::kernels::reference
