// Memory of the fast backends: zeroed, aligned to 64 bytes, in huge pages where the kernel has them
// (a weight stream over 4 KiB pages is 8 % slower).
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "kernels/api/tensor.h"

namespace turnpike::kernels::fast {

// A range of anonymous memory. Failure to get one is a bug of the caller's budget: CHECK.
class Pages {
  public:
    explicit Pages(std::size_t num_bytes);
    ~Pages();
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    std::byte* data() const { return data_; }

    std::size_t num_bytes() const { return size_; }

  private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

// Zeroed pieces of large ranges. A piece keeps its range alive.
class Arena {
  public:
    std::shared_ptr<std::byte> take(std::size_t num_bytes);

  private:
    std::shared_ptr<Pages> pages_;
    std::size_t used_ = 0;
};

// Grows to the largest size asked for; its content is lost when it grows.
class Scratch {
  public:
    std::byte* reserve(std::size_t num_bytes);

    template <class T>
    T* reserve_as(std::int64_t count) {
        return reinterpret_cast<T*>(reserve(static_cast<std::size_t>(count) * sizeof(T)));
    }

  private:
    std::unique_ptr<Pages> pages_;
};

class HostBuffer final : public Buffer {
  public:
    explicit HostBuffer(std::size_t num_bytes) : pages_(num_bytes), size_(num_bytes) {}

    void* data() override { return pages_.data(); }

    std::size_t num_bytes() const override { return size_; }

  private:
    Pages pages_;
    std::size_t size_;
};

}  // namespace turnpike::kernels::fast
