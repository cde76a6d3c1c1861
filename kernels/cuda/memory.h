// Memory of the CUDA backend: device buffers, buffers that grow, and a ring of pinned memory
// through which a step's small inputs go up without waiting.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "kernels/api/tensor.h"

namespace turnpike::kernels::cuda {

// Zeroed device memory, aligned to 256 bytes.
class DeviceBuffer final : public Buffer {
  public:
    explicit DeviceBuffer(std::size_t num_bytes);
    ~DeviceBuffer() override;
    DeviceBuffer(const DeviceBuffer&) = delete;
    DeviceBuffer& operator=(const DeviceBuffer&) = delete;

    void* data() override { return data_; }

    const void* data() const { return data_; }

    std::size_t num_bytes() const override { return num_bytes_; }

  private:
    void* data_ = nullptr;
    std::size_t num_bytes_ = 0;
};

// A scratch that is replaced by a larger one when it does not suffice: no allocation once the
// largest step was seen.
class GrowingBuffer {
  public:
    // The contents are lost when it grows. Waits for the device then.
    void* at_least(std::size_t num_bytes);

  private:
    std::unique_ptr<DeviceBuffer> buffer_;
};

// Pinned memory beside device memory of the same size. What is put is on the device before what is
// launched after it on the same stream.
class UploadRing {
  public:
    UploadRing(std::size_t num_bytes, cudaStream_t stream);
    ~UploadRing();
    UploadRing(const UploadRing&) = delete;
    UploadRing& operator=(const UploadRing&) = delete;

    // The device's copy, good until num_bytes more were put. Waits for the stream when the ring is
    // full; larger than the ring is a bug.
    template <class T>
    const T* put(std::span<const T> values) {
        return static_cast<const T*>(put_bytes(values.data(), values.size_bytes()));
    }

    const void* put_bytes(const void* data, std::size_t num_bytes);

    // Call when the stream has been waited for: all of the ring is free.
    void reset() { used_ = 0; }

  private:
    cudaStream_t stream_;
    std::byte* host_ = nullptr;
    DeviceBuffer device_;
    std::size_t used_ = 0;
};

}  // namespace turnpike::kernels::cuda
