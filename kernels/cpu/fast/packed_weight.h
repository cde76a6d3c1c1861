// Weights in tiles: groups of lanes_of() output rows, a group in one run of memory, so that a
// thread streams its share from front to back. FP8 stays FP8, with one scale per group and k block.
#pragma once

#include <memory>
#include <vector>

#include "config/base/result.h"
#include "kernels/api/attention.h"
#include "kernels/api/backend.h"
#include "kernels/cpu/fast/kernel_table.h"
#include "kernels/cpu/fast/memory.h"
#include "kernels/cpu/thread_pool.h"

namespace turnpike::kernels::fast {

// What a matrix multiplies with: rows in its format, and whether they are FP8 codes' numbers with a
// scale per 128 channels.
struct RowFormat {
    Format format = Format::kF32;
    bool is_coded = false;

    bool operator==(const RowFormat&) const = default;
};

// A matrix as the tiles read it. Rows past the last one of a group are zero. A coded one holds FP8
// codes' numbers, in whichever format, and scales that are no part of them.
class PackedMatrix {
  public:
    std::int64_t rows() const { return rows_; }

    std::int64_t cols() const { return cols_; }

    Format format() const { return format_; }

    RowFormat row_format() const { return {format_, is_coded_}; }

    std::int64_t num_groups() const { return (rows_ + lanes_ - 1) / lanes_; }

    int lanes() const { return lanes_; }

    std::size_t group_bytes() const { return group_bytes_; }

    // Bytes that one pass over the matrix reads, scales included.
    std::size_t num_bytes() const {
        return static_cast<std::size_t>(num_groups()) * group_bytes_ +
               (scales_.size() + lane_scales_.size()) * sizeof(float);
    }

    // The same FP8 codes, for rows of codes.
    PackedMatrix coded() const;

    // From column k, a multiple of 128, on.
    const std::byte* group(std::int64_t index, std::int64_t k = 0) const;
    const float* scales(std::int64_t index, std::int64_t k = 0) const;
    // The scale of each lane of a group at column k; only of a coded matrix.
    void read_lane_scales(std::int64_t index, std::int64_t k, float* out) const;
    // One row in f32.
    void read_row(std::int64_t row, float* out) const;

  private:
    friend struct Packer;

    Format format_ = Format::kF32;
    bool is_paired_ = false;
    bool is_coded_ = false;
    int lanes_ = 0;
    std::int64_t rows_ = 0;
    std::int64_t cols_ = 0;
    std::int64_t blocks_ = 0;
    std::size_t group_bytes_ = 0;
    std::shared_ptr<std::byte> data_;
    std::vector<float> scales_;       // [groups][k blocks]; empty = 1
    std::vector<float> lane_scales_;  // [groups][k blocks][lanes], where groups part scale blocks
};

// What to pack: element (r, c) lies at data[(r * row_stride + c * col_stride)], its FP8 scale in
// row (first_row + ...) of the stored matrix; see Packer.
struct PackSource {
    WeightSource stored;
    std::int64_t first_row = 0;  // of the stored matrix
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    bool is_transposed = false;  // packed row r, column c is stored row first_row + c, column r

    std::int64_t stored_row(std::int64_t r, std::int64_t c) const {
        return first_row + (is_transposed ? c : r);
    }

    std::int64_t stored_col(std::int64_t r, std::int64_t c) const { return is_transposed ? r : c; }
};

class PackedWeight final : public PreparedWeight {
  public:
    PackedWeight(PackedMatrix matrix, std::vector<float> vector)
        : matrix_(std::move(matrix)), vector_(std::move(vector)) {}

    std::int64_t rows() const override { return vector_.empty() ? matrix_.rows() : 1; }

    std::int64_t cols() const override {
        return vector_.empty() ? matrix_.cols() : static_cast<std::int64_t>(vector_.size());
    }

    // A weight of one row, such as a norm's, is kept as f32 only.
    bool is_vector() const { return !vector_.empty(); }

    const std::vector<float>& vector() const { return vector_; }

    const PackedMatrix& matrix() const { return matrix_; }

  private:
    PackedMatrix matrix_;
    std::vector<float> vector_;
};

// kv_b_proj in both forms. Per head: keys [nope_dim, latent] and values [v_dim, latent] for
// projecting up, and the keys transposed [latent, nope_dim] for moving queries into latent space.
// The naive form uses key and projected_value, which may be coded, the absorbed one the others.
class KvUpWeight final : public PreparedWeight {
  public:
    struct Head {
        PackedMatrix key;
        PackedMatrix key_transposed;
        PackedMatrix value;
        PackedMatrix projected_value;
    };

    KvUpWeight(std::int64_t rows, std::int64_t cols, std::vector<Head> heads)
        : rows_(rows), cols_(cols), heads_(std::move(heads)) {}

    std::int64_t rows() const override { return rows_; }

    std::int64_t cols() const override { return cols_; }

    // Of one pass over all heads in the absorbed form.
    std::size_t absorbed_bytes() const {
        std::size_t sum = 0;
        for (const Head& head : heads_)
            sum += head.key_transposed.num_bytes() + head.value.num_bytes();
        return sum;
    }

    const Head& head(std::int64_t index) const { return heads_[static_cast<std::size_t>(index)]; }

  private:
    std::int64_t rows_;
    std::int64_t cols_;
    std::vector<Head> heads_;
};

// What packing needs.
struct PackContext {
    const KernelTable& table;
    ThreadPool& threads;
    Arena& arena;
    Numerics numerics = Numerics::kW8A16;
};

// Errors: kCorrupt naming the tensor and the place of a value that is not finite.
Result<std::unique_ptr<PackedWeight>> pack_weight(const PackContext& context,
                                                  const WeightSource& source);
Result<std::unique_ptr<KvUpWeight>> pack_kv_up(const PackContext& context,
                                               const WeightSource& source,
                                               const MlaShape& shape);

}  // namespace turnpike::kernels::fast
