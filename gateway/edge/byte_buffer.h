// ByteBuffer: bytes that were received and not yet taken. Grows when asked, keeps its memory, and
// gives large memory back.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "config/base/check.h"

namespace turnpike::gateway {

class ByteBuffer {
  public:
    explicit ByteBuffer(std::size_t initial_bytes) : initial_bytes_(initial_bytes) {}

    std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }

    std::size_t size() const { return end_ - begin_; }

    bool empty() const { return begin_ == end_; }

    std::size_t capacity() const { return capacity_; }

    // Room behind the bytes, at least `min_free`. Invalidates views.
    std::span<char> prepare(std::size_t min_free) {
        if (begin_ > 0 && capacity_ - end_ < min_free) compact();
        if (capacity_ - end_ < min_free) grow(size() + min_free);
        return {data_.get() + end_, capacity_ - end_};
    }

    void commit(std::size_t num_bytes) {
        CHECK(num_bytes <= capacity_ - end_);
        end_ += num_bytes;
    }

    void consume(std::size_t num_bytes) {
        CHECK(num_bytes <= size());
        begin_ += num_bytes;
        if (begin_ == end_) begin_ = end_ = 0;
    }

    // Gives memory beyond the initial size back when the bytes fit without it.
    void shrink() {
        if (capacity_ <= initial_bytes_ || size() > initial_bytes_) return;
        move_to(initial_bytes_);
    }

    // Gives all memory back when there are no bytes: for idle connections.
    void release() {
        if (!empty()) return;
        data_.reset();
        capacity_ = 0;
    }

  private:
    void compact() {
        std::memmove(data_.get(), data_.get() + begin_, size());
        end_ -= begin_;
        begin_ = 0;
    }

    void grow(std::size_t needed) {
        std::size_t wanted = capacity_ == 0 ? initial_bytes_ : capacity_ * 2;
        while (wanted < needed) wanted *= 2;
        move_to(wanted);
    }

    void move_to(std::size_t new_capacity) {
        auto moved = std::make_unique_for_overwrite<char[]>(new_capacity);
        const std::size_t num_bytes = size();
        if (num_bytes > 0) std::memcpy(moved.get(), data_.get() + begin_, num_bytes);
        data_ = std::move(moved);
        capacity_ = new_capacity;
        begin_ = 0;
        end_ = num_bytes;
    }

    std::size_t initial_bytes_;
    std::unique_ptr<char[]> data_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace turnpike::gateway
