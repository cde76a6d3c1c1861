// BlockSum: softmax-weighted sums of many query rows over one head's keys and values, a block of 64
// positions at a time. What fills keys() and values() decides which attention it is.
#pragma once

#include "kernels/cpu/fast/attention.h"

namespace turnpike::kernels::fast {

// Hands out pieces of a thread's scratch.
class Carver {
  public:
    explicit Carver(std::byte* memory) : memory_(memory) {}

    template <class T>
    T* take(std::int64_t count) {
        auto* piece = reinterpret_cast<T*>(memory_);
        memory_ += bytes_for(count);
        return piece;
    }

    // Of `count` elements of 4 bytes.
    static std::int64_t bytes_for(std::int64_t count) { return (count * 4 + 63) / 64 * 64; }

  private:
    std::byte* memory_;
};

class BlockSum {
  public:
    struct Shape {
        std::int64_t num_rows = 0;
        std::int64_t rows_per_position = 1;  // consecutive query rows at one position
        std::int64_t first_position = 0;     // of row 0
        std::int64_t key_dim = 0;
        std::int64_t value_dim = 0;
        float softmax_scale = 1.0F;
    };

    static std::int64_t num_bytes(const KernelTable& table, const Shape& shape);
    BlockSum(const KernelTable& table, const Shape& shape, Carver& carver);

    // [num_rows] rows in the act format, padded_units(key_dim) apart: to be filled before begin().
    std::uint32_t* queries() { return queries_; }

    // A block's keys [key units][lanes] for each group of lanes tokens, and values [token units]
    // [lanes] for each group of lanes channels: to be filled before add().
    std::uint32_t* keys(std::int64_t token) {
        return keys_ + token * act_units(table_, shape_.key_dim);
    }

    std::uint32_t* values(std::int64_t channel) { return values_ + channel * kCacheBlockTokens; }

    std::int64_t token_lanes() const {
        return std::min<std::int64_t>(table_.group_lanes, kCacheBlockTokens);
    }

    std::int64_t value_lanes(std::int64_t channel) const {
        return std::min<std::int64_t>(table_.group_lanes, padded_values_ - channel);
    }

    std::int64_t padded_values() const { return padded_values_; }

    void begin();
    // Adds the block of `count` tokens from position `start` on to all rows that see it.
    void add(std::int64_t start, std::int64_t count);
    // The finished sums of a row: [value_dim].
    void read(std::int64_t row, float* out) const;

  private:
    static constexpr std::int64_t kRowChunk = 48;  // rows whose scores stay in the nearest cache

    std::int64_t position(std::int64_t row) const {
        return shape_.first_position + row / shape_.rows_per_position;
    }

    void add_chunk(std::int64_t start, std::int64_t tokens, std::int64_t first, std::int64_t count);

    const KernelTable& table_;
    const Shape shape_;
    const std::int64_t query_units_;
    const std::int64_t padded_values_;
    std::uint32_t* queries_;
    float* max_;
    float* total_;
    float* sums_;  // [num_rows][padded_values_]
    std::uint32_t* keys_;
    std::uint32_t* values_;
    float* scores_;           // [groups of tokens][kRowChunk][lanes]
    std::uint32_t* weights_;  // [kRowChunk][64], packed
    float* block_sums_;
};

}  // namespace turnpike::kernels::fast
