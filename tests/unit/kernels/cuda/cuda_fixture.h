// The CUDA backend beside the reference, on fresh random inputs. Outputs are poisoned with NaN and
// lie between guard bands that nothing may write to.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/api/cpu_reference.h"
#include "kernels/api/cuda.h"
#include "tests/unit/kernels/matrix.h"
#include "tests/unit/kernels/stored_weight.h"

namespace turnpike::kernels {

// A matrix on the device, with a copy of a host's values or NaN, and guards around it.
class DeviceMatrix {
  public:
    DeviceMatrix(Backend& backend, const Matrix& from)
        : DeviceMatrix(backend, from.rows, from.cols) {
        write(from.values);
    }

    DeviceMatrix(Backend& backend, std::int64_t rows, std::int64_t cols)
        : backend_(backend),
          rows_(rows),
          cols_(cols),
          buffer_(backend.allocate((static_cast<std::size_t>(rows * cols) + 2 * kGuard) * 4)) {
        std::vector<float> poison(static_cast<std::size_t>(rows * cols) + 2 * kGuard,
                                  std::numeric_limits<float>::quiet_NaN());
        std::fill_n(poison.begin(), kGuard, kGuardValue);
        std::fill_n(poison.end() - kGuard, kGuard, kGuardValue);
        EXPECT_EQ(cudaMemcpy(buffer_->data(), poison.data(), poison.size() * 4, cudaMemcpyDefault),
                  cudaSuccess);
    }

    MatrixView view() {
        return {static_cast<float*>(buffer_->data()) + kGuard, DType::kF32, rows_, cols_, cols_};
    }

    void write(const std::vector<float>& values) {
        EXPECT_EQ(cudaMemcpy(view().data, values.data(), values.size() * 4, cudaMemcpyDefault),
                  cudaSuccess);
    }

    // Waits for what was launched; fails when a guard was written to.
    std::vector<float> read() {
        std::vector<float> values(static_cast<std::size_t>(rows_ * cols_));
        backend_.download(view(), values);
        std::vector<float> all(static_cast<std::size_t>(rows_ * cols_) + 2 * kGuard);
        EXPECT_EQ(cudaMemcpy(all.data(), buffer_->data(), all.size() * 4, cudaMemcpyDefault),
                  cudaSuccess);
        for (std::size_t i = 0; i < kGuard; ++i) {
            EXPECT_EQ(all[i], kGuardValue);
            EXPECT_EQ(all[all.size() - 1 - i], kGuardValue);
        }
        return values;
    }

  private:
    static constexpr std::size_t kGuard = 64;
    static constexpr float kGuardValue = 12345.0F;

    Backend& backend_;
    std::int64_t rows_;
    std::int64_t cols_;
    std::unique_ptr<Buffer> buffer_;
};

class CudaTest : public testing::Test {
  protected:
    void SetUp() override {
        const auto device = find_cuda_device();
        if (!device) GTEST_SKIP() << device.error().message;
        // Other inputs in every run; printed, so that a failure can be repeated.
        const char* const given = std::getenv("TURNPIKE_SEED");
        seed_ = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
        RecordProperty("seed", std::to_string(seed_));
        use(Numerics::kW8A16);
    }

    void use(Numerics numerics, bool is_deterministic = false) {
        reference_ = *make_cpu_reference_backend({numerics, 8});
        cuda_ = *make_cuda_backend({numerics, 1, is_deterministic});
    }

    std::uint64_t next_seed() { return ++seed_; }

    std::string note() const { return "TURNPIKE_SEED=" + std::to_string(seed_); }

    std::unique_ptr<Backend> reference_;
    std::unique_ptr<Backend> cuda_;

  private:
    std::uint64_t seed_ = 0;
};

// f32 in another order.
inline constexpr double kF32Order = 2e-6;
// x in two BF16 parts: 2^-17 an element.
inline constexpr double kSplitBf16 = 2e-5;
// One rounding to BF16: 2^-9 at most, 1.6e-3 on average.
inline constexpr double kBf16Rounding = 4e-3;

}  // namespace turnpike::kernels
