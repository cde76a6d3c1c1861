// MLA of the reference backend: the paged f32 cache and the two forms of attention.
// DeepSeek-V3 inference/model.py, MLA.forward, naive and absorbed paths.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kernels/api/attention.h"
#include "kernels/cpu/reference/weights.h"
#include "kernels/cpu/thread_pool.h"

namespace turnpike::kernels::reference {

// [layer][block][64][row_dim] f32.
class PagedCache final : public KvCache {
  public:
    explicit PagedCache(const KvCacheShape& shape);

    const KvCacheShape& shape() const override { return shape_; }

    float* row(std::int64_t layer, std::int64_t block, std::int64_t slot);
    const float* row(std::int64_t layer, std::int64_t block, std::int64_t slot) const;

  private:
    std::int64_t offset(std::int64_t layer, std::int64_t block, std::int64_t slot) const;

    KvCacheShape shape_;
    std::vector<float> values_;
};

// kv_b_proj with its two readings: per head nope_dim key rows, then v_dim value rows.
class KvUpWeight final : public PreparedWeight {
  public:
    // coded: the same rows with their FP8 scales apart, for the naive form in w8a8_block numerics;
    // the absorbed form always computes with the dequantised rows.
    KvUpWeight(DenseWeight rows, std::optional<DenseWeight> coded, const MlaShape& shape);

    std::int64_t rows() const override { return all_.rows(); }

    std::int64_t cols() const override { return all_.cols(); }

    const float* key_row(std::int64_t head, std::int64_t index) const;
    const float* value_row(std::int64_t head, std::int64_t index) const;

    // What the naive form multiplies with.
    const DenseWeight& projected() const { return coded_ ? *coded_ : all_; }

  private:
    DenseWeight all_;
    std::optional<DenseWeight> coded_;
    std::int64_t nope_dim_;
    std::int64_t v_dim_;
};

struct AttentionCall {
    MatrixView queries;
    std::span<const AttentionSlice> slices;
    const KvUpWeight& kv_up;
    MlaShape shape;
    std::int64_t layer = 0;
    const PagedCache& cache;
    MatrixView out;
};

void write_kv(MatrixView rows,
              std::span<const AttentionSlice> slices,
              std::int64_t layer,
              PagedCache& cache);
void attend_naive(ThreadPool& threads, const AttentionCall& call);
void attend_absorbed(ThreadPool& threads, const AttentionCall& call);

}  // namespace turnpike::kernels::reference
