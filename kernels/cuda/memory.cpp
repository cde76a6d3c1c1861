// See memory.h.
#include "kernels/cuda/memory.h"

#include <algorithm>

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
    // Streams that do not wait for the default one may use it at once.
    CUDA_CHECK(cudaStreamSynchronize(nullptr));
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

UploadBuffer::UploadBuffer(std::size_t num_bytes, cudaStream_t stream) : stream_(stream) {
    at_least(num_bytes);
}

UploadBuffer::~UploadBuffer() {
    (void)cudaFreeHost(host_);
}

bool UploadBuffer::has_room(std::size_t num_bytes) const {
    constexpr std::size_t kPieces = 8;
    return used_ + num_bytes + kPieces * kAlignment <= device_->num_bytes();
}

void UploadBuffer::at_least(std::size_t num_bytes) {
    CHECK(used_ == 0);
    if (device_ != nullptr && has_room(num_bytes)) return;
    num_bytes += num_bytes / 2;
    device_ = std::make_unique<DeviceBuffer>(num_bytes);
    CUDA_CHECK(cudaFreeHost(host_));
    void* host = nullptr;
    CUDA_CHECK(cudaHostAlloc(&host, num_bytes, cudaHostAllocDefault));
    host_ = static_cast<std::byte*>(host);
}

const void* UploadBuffer::put_bytes(const void* data, std::size_t num_bytes) {
    auto* const device = static_cast<std::byte*>(device_->data());
    if (num_bytes == 0) return device;
    const auto found = held_.find({static_cast<const char*>(data), num_bytes});
    if (found != held_.end())
        return device + (reinterpret_cast<const std::byte*>(found->data()) - host_);
    CHECK(used_ + num_bytes <= device_->num_bytes());
    std::byte* const host = host_ + used_;
    std::byte* const to = device + used_;
    std::memcpy(host, data, num_bytes);
    held_.emplace(reinterpret_cast<const char*>(host), num_bytes);
    used_ += aligned(num_bytes);
    return to;
}

void UploadBuffer::send() {
    if (sent_ == used_) return;
    CUDA_CHECK(cudaMemcpyAsync(static_cast<std::byte*>(device_->data()) + sent_, host_ + sent_,
                               std::min(used_, device_->num_bytes()) - sent_,
                               cudaMemcpyHostToDevice, stream_));
    sent_ = used_;
}

void UploadBuffer::reset() {
    used_ = 0;
    sent_ = 0;
    held_.clear();
}

}  // namespace turnpike::kernels::cuda
