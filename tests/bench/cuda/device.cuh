// What the benchmarks of kernels/cuda share: random device memory, times, and the read loop that
// the bandwidth figures are shares of.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/api/cuda.h"
#include "kernels/cuda/error.h"
#include "kernels/cuda/memory.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/stream_linear.h"
#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {

__device__ inline std::uint32_t scrambled(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
    return static_cast<std::uint32_t>(value >> 32);
}

// FP8 codes below 2^2 in magnitude, never NaN; also fit as small BF16 when taken in pairs.
__global__ void fill_codes(std::uint32_t* words, std::size_t count, std::uint64_t seed) {
    const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
    for (std::size_t i = blockIdx.x * static_cast<std::size_t>(blockDim.x) + threadIdx.x; i < count;
         i += step)
        words[i] = scrambled(seed + i) & 0xBFBFBFBFU;
}

__global__ void fill_floats(
    float* values, std::size_t count, float low, float high, std::uint64_t seed) {
    const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
    for (std::size_t i = blockIdx.x * static_cast<std::size_t>(blockDim.x) + threadIdx.x; i < count;
         i += step)
        values[i] = low + (high - low) * static_cast<float>(scrambled(seed + i) >> 8) * 0x1p-24F;
}

// BF16 in [-1, 1).
__global__ void fill_bf16(std::uint16_t* values, std::size_t count, std::uint64_t seed) {
    const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
    for (std::size_t i = blockIdx.x * static_cast<std::size_t>(blockDim.x) + threadIdx.x; i < count;
         i += step) {
        const float value = static_cast<float>(scrambled(seed + i) >> 8) * 0x1p-23F - 1.0F;
        values[i] = static_cast<std::uint16_t>(__float_as_uint(value) >> 16);
    }
}

class Arena {
  public:
    template <class T>
    T* floats(std::size_t count, float low, float high) {
        auto* const data = static_cast<float*>(raw(count * sizeof(float)));
        fill_floats<<<1024, 256>>>(data, count, low, high, ++seed_ << 40);
        return reinterpret_cast<T*>(data);
    }

    void* raw(std::size_t num_bytes) {
        buffers_.push_back(std::make_unique<DeviceBuffer>(num_bytes));
        return buffers_.back()->data();
    }

    MatrixView matrix(std::int64_t rows, std::int64_t cols) {
        return {floats<float>(static_cast<std::size_t>(rows * cols), -1.0F, 1.0F), DType::kF32,
                rows, cols, cols};
    }

    WeightView fp8(std::int64_t rows, std::int64_t cols) {
        WeightView view;
        view.rows = rows;
        view.cols = cols;
        view.stride = (cols + 127) / 128 * 128;
        const auto count = packed_bytes(rows, view.stride, kWeightTileRows);
        auto* const data = static_cast<std::uint32_t*>(raw(count));
        fill_codes<<<1024, 256>>>(data, count / 4, ++seed_ << 40);
        view.data = data;
        view.scales = floats<const float>(
            static_cast<std::size_t>((rows + 127) / 128 * view.num_k_blocks()), 0.01F, 0.02F);
        return view;
    }

    WeightView bf16(std::int64_t rows, std::int64_t cols) {
        WeightView view;
        view.dtype = DType::kBf16;
        view.rows = rows;
        view.cols = cols;
        view.stride = (cols + 127) / 128 * 128;
        const auto count = packed_bytes(rows, view.stride * 2, kWeightTileRows) / 2;
        auto* const data = static_cast<std::uint16_t*>(raw(count * 2));
        fill_bf16<<<1024, 256>>>(data, count, ++seed_ << 40);
        view.data = data;
        return view;
    }

    void* bf16_values(std::size_t count) {
        auto* const data = static_cast<std::uint16_t*>(raw(count * 2));
        fill_bf16<<<1024, 256>>>(data, count, ++seed_ << 40);
        return data;
    }

    SplitRows split_rows(std::int64_t rows, std::int64_t cols) {
        SplitRows view;
        view.rows = rows;
        view.cols = cols;
        view.stride = (cols + 127) / 128 * 128;
        const std::size_t bytes = packed_bytes(rows, view.stride * 2, kCodedTileRows);
        view.high = static_cast<std::uint16_t*>(raw(bytes));
        view.low = static_cast<std::uint16_t*>(raw(bytes));
        return view;
    }

    CodedRows coded(std::int64_t rows, std::int64_t cols) {
        CodedRows view;
        view.rows = rows;
        view.cols = cols;
        view.stride = (cols + 127) / 128 * 128;
        view.scale_stride = (rows + 7) / 8 * 8;
        view.codes =
            static_cast<std::uint8_t*>(raw(packed_bytes(rows, view.stride, kCodedTileRows)));
        view.scales = static_cast<float*>(
            raw(static_cast<std::size_t>(view.scale_stride * view.stride / 128) * 4));
        return view;
    }

  private:
    std::vector<std::unique_ptr<DeviceBuffer>> buffers_;
    std::uint64_t seed_ = 0;
};

// Median seconds of one call among `rounds`, each of `calls` in a row.
inline double seconds_of(cudaStream_t stream,
                         int rounds,
                         int calls,
                         const std::function<void()>& call) {
    cudaEvent_t begin = nullptr;
    cudaEvent_t end = nullptr;
    CUDA_CHECK(cudaEventCreate(&begin));
    CUDA_CHECK(cudaEventCreate(&end));
    call();
    std::vector<double> times;
    for (int r = 0; r < rounds; ++r) {
        CUDA_CHECK(cudaEventRecord(begin, stream));
        for (int i = 0; i < calls; ++i) call();
        CUDA_CHECK(cudaEventRecord(end, stream));
        CUDA_CHECK(cudaEventSynchronize(end));
        float ms = 0.0F;
        CUDA_CHECK(cudaEventElapsedTime(&ms, begin, end));
        times.push_back(static_cast<double>(ms) * 1e-3 / calls);
    }
    CUDA_CHECK(cudaEventDestroy(begin));
    CUDA_CHECK(cudaEventDestroy(end));
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

// What the device does at best, per second: the best of some rounds of what the probe counts.
template <class Work>
double best_rate(Work work) {
    constexpr int kRounds = 5;
    double best = 0.0;
    for (int i = 0; i < kRounds; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        const auto amount = static_cast<double>(work());
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
        best = std::max(best, amount / time.count());
    }
    return best;
}

// Bytes per second of the read loop.
inline double read_bandwidth() {
    const auto probe = make_cuda_probe();
    return best_rate([&] { return probe->read(); });
}

// FLOP/s of the FP8 tensor cores alone.
inline double multiply_rate() {
    const auto probe = make_cuda_probe();
    return best_rate([&] { return probe->multiply(); });
}

}  // namespace turnpike::kernels::cuda
