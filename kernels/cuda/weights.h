// Weights of the CUDA backend: as the checkpoint stores them, columns padded to a multiple of 128.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "config/base/result.h"
#include "kernels/api/attention.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/memory.h"
#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

class DeviceWeight final : public PreparedWeight {
  public:
    std::int64_t rows() const override { return view_.rows; }

    std::int64_t cols() const override { return view_.cols; }

    const WeightView& view() const { return view_; }

    // Of a weight of one row, which is kept in f32.
    const float* vector() const;

    // A weight of one row becomes f32, an FP8 one keeps its scales. Errors: kCorrupt for NaN codes
    // or scales that are not finite.
    static Result<std::unique_ptr<DeviceWeight>> make(const WeightSource& source);

  private:
    WeightView view_;
    std::unique_ptr<DeviceBuffer> data_;
    std::unique_ptr<DeviceBuffer> scales_;
};

// kv_b_proj for the absorbed form.
class DeviceKvUp final : public PreparedWeight {
  public:
    std::int64_t rows() const override { return rows_; }

    std::int64_t cols() const override { return cols_; }

    const KvUpView& view() const { return view_; }

    static Result<std::unique_ptr<DeviceKvUp>> make(const WeightSource& source,
                                                    const MlaShape& shape);

  private:
    std::int64_t rows_ = 0;
    std::int64_t cols_ = 0;
    KvUpView view_;
    std::unique_ptr<DeviceBuffer> keys_;
    std::unique_ptr<DeviceBuffer> values_;
};

}  // namespace turnpike::kernels::cuda
