// See memory.h.
#include "kernels/cuda/memory.h"

#include "config/base/check.h"
#include "kernels/cuda/error.h"

namespace turnpike::kernels::cuda {
namespace {

constexpr std::size_t kAlignment = 256;

std::size_t aligned(std::size_t num_bytes) {
    return (num_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

DeviceBuffer::DeviceBuffer(std::size_t num_bytes) : num_bytes_(num_bytes) {
    CUDA_CHECK(cudaMalloc(&data_, aligned(num_bytes == 0 ? 1 : num_bytes)));
    CUDA_CHECK(cudaMemset(data_, 0, aligned(num_bytes == 0 ? 1 : num_bytes)));
}

// At exit the driver may be gone; there is nobody to tell then.
DeviceBuffer::~DeviceBuffer() {
    (void)cudaFree(data_);
}

void* GrowingBuffer::at_least(std::size_t num_bytes) {
    if (buffer_ == nullptr || buffer_->num_bytes() < num_bytes) {
        CUDA_CHECK(cudaDeviceSynchronize());
        buffer_.reset();
        buffer_ = std::make_unique<DeviceBuffer>(num_bytes);
    }
    return buffer_->data();
}

UploadRing::UploadRing(std::size_t num_bytes, cudaStream_t stream)
    : stream_(stream), device_(num_bytes) {
    void* host = nullptr;
    CUDA_CHECK(cudaHostAlloc(&host, num_bytes, cudaHostAllocDefault));
    host_ = static_cast<std::byte*>(host);
}

UploadRing::~UploadRing() {
    (void)cudaFreeHost(host_);
}

const void* UploadRing::put_bytes(const void* data, std::size_t num_bytes) {
    CHECK(num_bytes <= device_.num_bytes());
    if (used_ + num_bytes > device_.num_bytes()) {
        CUDA_CHECK(cudaStreamSynchronize(stream_));
        used_ = 0;
    }
    auto* const to = static_cast<std::byte*>(device_.data()) + used_;
    if (num_bytes > 0) {
        std::memcpy(host_ + used_, data, num_bytes);
        CUDA_CHECK(cudaMemcpyAsync(to, host_ + used_, num_bytes, cudaMemcpyHostToDevice, stream_));
    }
    used_ += aligned(num_bytes);
    return to;
}

}  // namespace turnpike::kernels::cuda
