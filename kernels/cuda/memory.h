// Memory of the CUDA backend: device buffers, buffers that grow, and pinned memory through which a
// step's small inputs go up without waiting.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_set>
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
    bool has(std::size_t num_bytes) const {
        return buffer_ != nullptr && buffer_->num_bytes() >= num_bytes;
    }

    // The contents are lost when it grows. Waits for the device then.
    void* at_least(std::size_t num_bytes);

  private:
    std::unique_ptr<DeviceBuffer> buffer_;
};

// Pinned memory beside device memory of the same size. What is put is on the device behind send().
// What is held already is not put again: the layers of a step take the same positions and block
// tables.
class UploadBuffer {
  public:
    UploadBuffer(std::size_t num_bytes, cudaStream_t stream);
    ~UploadBuffer();
    UploadBuffer(const UploadBuffer&) = delete;
    UploadBuffer& operator=(const UploadBuffer&) = delete;

    // Whether num_bytes fit, in a few pieces.
    bool has_room(std::size_t num_bytes) const;
    // Makes it hold so much. It is empty, and nothing reads from it any more.
    void at_least(std::size_t num_bytes);

    // The device's copy, good until reset(). There is room for it.
    template <class T>
    const T* put(std::span<const T> values) {
        return static_cast<const T*>(put_bytes(values.data(), values.size_bytes()));
    }

    const void* put_bytes(const void* data, std::size_t num_bytes);

    // Copies what was put since the last time, on the stream.
    void send();

    // Call when the stream has been waited for: all of it is free.
    void reset();

  private:
    cudaStream_t stream_;
    std::byte* host_ = nullptr;
    std::unique_ptr<DeviceBuffer> device_;
    std::size_t used_ = 0;
    std::size_t sent_ = 0;
    std::unordered_set<std::string_view> held_;  // views into host_
};

}  // namespace turnpike::kernels::cuda
