// See kernels/api/cuda.h, make_cuda_probe.
#include "kernels/api/cuda.h"
#include "kernels/cuda/device/ring.cuh"
#include "kernels/cuda/device/tiles.cuh"
#include "kernels/cuda/device/wgmma.cuh"
#include "kernels/cuda/error.h"
#include "kernels/cuda/memory.h"

namespace turnpike::kernels {
namespace cuda {
namespace {

constexpr std::size_t kReadBytes = std::size_t{2} << 30;
constexpr int kReads = 4;
constexpr int kReadThreads = 512;
constexpr int kMultiplyThreads = 256;
constexpr int kRounds = 20'000;
constexpr int kOperandBytes = 32 * 1024;

// Reads everything, 16 bytes a thread, and keeps nothing.
__global__ void read_kernel(const uint4* data, std::size_t count, std::uint32_t* sink) {
    std::uint32_t sum = 0;
    const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
    std::size_t i = blockIdx.x * static_cast<std::size_t>(blockDim.x) + threadIdx.x;
    for (; i + 3 * step < count; i += 4 * step) {
        const uint4 a = __ldcs(data + i);
        const uint4 b = __ldcs(data + i + step);
        const uint4 c = __ldcs(data + i + 2 * step);
        const uint4 d = __ldcs(data + i + 3 * step);
        sum += a.x ^ a.y ^ a.z ^ a.w ^ b.x ^ b.y ^ b.z ^ b.w ^ c.x ^ c.y ^ c.z ^ c.w ^ d.x ^ d.y ^
               d.z ^ d.w;
    }
    if (sum == 0x12345678U) *sink = sum;
}

// Two warpgroups multiply the same 128 x 128 FP8 operands again and again.
__global__ void __launch_bounds__(kMultiplyThreads, 1) multiply_kernel(float* sink) {
    extern __shared__ __align__(1024) unsigned char shared[];
    // Codes below 2 in magnitude, none alike its neighbours.
    for (int i = static_cast<int>(threadIdx.x); i < kOperandBytes; i += kMultiplyThreads)
        shared[i] =
            static_cast<unsigned char>(static_cast<unsigned>(i) * 2654435761U >> 24 & 0xBFU);
    fence_copies();
    __syncthreads();
    const std::uint32_t at = shared_address(shared);
    const std::uint64_t a = strips_descriptor(at + threadIdx.x / 128 * 8192);
    const std::uint64_t b = strips_descriptor(at + 16384);
    float sums[64];
    for (float& sum : sums) sum = 0.0F;
    for (int r = 0; r < kRounds; ++r) {
        keep_in_place(sums);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < 4; ++k)
            wgmma_fp8<true>(sums, a + static_cast<unsigned>(2 * k),
                            b + static_cast<unsigned>(2 * k));
        wgmma_commit();
        wgmma_wait<0>();
    }
    keep_in_place(sums);
    float total = 0.0F;
    for (const float sum : sums) total += sum;
    sink[blockIdx.x * kMultiplyThreads + threadIdx.x] = total;
}

class CudaProbe final : public Probe {
  public:
    CudaProbe()
        : num_multiprocessors_(count_multiprocessors()), data_(kReadBytes), sink_(sink_bytes()) {}

    std::int64_t read() override {
        for (int i = 0; i < kReads; ++i) {
            read_kernel<<<num_multiprocessors_ * 16, kReadThreads>>>(
                static_cast<const uint4*>(data_.data()), kReadBytes / sizeof(uint4),
                static_cast<std::uint32_t*>(sink_.data()));
        }
        finish();
        return static_cast<std::int64_t>(kReadBytes) * kReads;
    }

    std::int64_t multiply() override {
        multiply_kernel<<<num_multiprocessors_, kMultiplyThreads, kOperandBytes>>>(
            static_cast<float*>(sink_.data()));
        finish();
        constexpr std::int64_t kFlops = std::int64_t{2} * 128 * 128 * 128;
        return kFlops * kRounds * num_multiprocessors_;
    }

  private:
    static int count_multiprocessors() {
        int device = 0;
        int count = 0;
        CUDA_CHECK(cudaGetDevice(&device));
        CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
        return count;
    }

    std::size_t sink_bytes() const {
        return static_cast<std::size_t>(num_multiprocessors_) * kMultiplyThreads * sizeof(float);
    }

    static void finish() {
        CUDA_CHECK(cudaGetLastError());
        CUDA_CHECK(cudaDeviceSynchronize());
    }

    int num_multiprocessors_;
    DeviceBuffer data_;
    DeviceBuffer sink_;
};

}  // namespace
}  // namespace cuda

std::unique_ptr<Probe> make_cuda_probe() {
    return std::make_unique<cuda::CudaProbe>();
}

}  // namespace turnpike::kernels
