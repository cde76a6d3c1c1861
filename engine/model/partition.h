// Partition: what one rank of a model holds and computes, as numbers. Pure: every rank derives the
// same division from the config alone.
//
// Tensor-parallel attention: each rank has some heads of every sequence; data-parallel attention:
// all heads of the sequences in its own block pool. Either way MLPs are divided along their width,
// experts whole, and the vocabulary by rows of embedding and head. Norms, routers and the
// projections into latent space are whole on every rank: they are small, and what they give is
// needed by all.
#pragma once

#include <cstdint>
#include <vector>

#include "config/base/result.h"

namespace turnpike::engine {

struct Range {
    std::int64_t begin = 0;
    std::int64_t end = 0;

    std::int64_t size() const { return end - begin; }

    bool is_empty() const { return end == begin; }

    bool operator==(const Range&) const = default;
};

enum class AttentionLayout { kTensorParallel, kDataParallel };

// What the division of a model among ranks depends on, beside its tensors.
struct ServingShape {
    std::int64_t num_heads = 0;
    std::int64_t head_unit = 1;            // a rank holds a multiple of so many heads
    std::int64_t num_kv_heads = 0;         // 1 where all heads share one cache row
    std::int64_t kv_values_per_token = 0;  // of all main layers
    std::int64_t head_columns = 0;         // of o_proj's input, for each head
    std::int64_t num_experts = 0;          // 0 without experts
    std::int64_t vocab_size = 0;
};

// A linear whose sum over K runs in the segments of segments.h: who computes which. The sums of
// all segments are added in ascending order by everybody, so that the bits are those of one rank.
struct SplitK {
    std::vector<Range> segments;  // of each rank; empty: every rank computes all by itself
    Range own_segments;
    Range own_columns;  // of them

    bool is_whole() const { return segments.empty(); }
};

class Partition {
  public:
    // One rank, which holds everything.
    static Partition single(const ServingShape& shape);
    // Errors: kInvalidArgument when the heads cannot be divided so. In tensor-parallel attention
    // each rank has equally many, in units of shape.head_unit, its key/value heads are whole groups
    // or a part of one, and its columns of o_proj are whole segments.
    static Result<Partition> make(const ServingShape& shape,
                                  AttentionLayout layout,
                                  int rank,
                                  int size);

    int rank() const { return rank_; }

    int size() const { return size_; }

    bool is_data_parallel() const { return size_ > 1 && layout_ == AttentionLayout::kDataParallel; }

    // Block pools: of sequences whose keys and values lie on one rank only.
    int num_pools() const { return is_data_parallel() ? size_ : 1; }

    Range heads() const { return heads_of(rank_); }

    // Ranks beyond the key/value heads hold copies of one.
    Range kv_heads() const;
    SplitK attention_output() const;
    // The down projection of an MLP; own_columns are this rank's rows of gate and up. Ranks beyond
    // the segments have none.
    SplitK mlp(std::int64_t width) const;

    Range experts() const { return share_of(shape_.num_experts, rank_); }

    int owner_of_expert(std::int64_t expert) const { return owner(shape_.num_experts, expert); }

    Range vocab_of(int rank) const { return share_of(shape_.vocab_size, rank); }

    int owner_of_token(std::int64_t token) const { return owner(shape_.vocab_size, token); }

  private:
    Partition(const ServingShape& shape, AttentionLayout layout, int rank, int size)
        : shape_(shape), layout_(layout), rank_(rank), size_(size) {}

    Range share_of(std::int64_t count, int rank) const;
    int owner(std::int64_t count, std::int64_t index) const;
    Range heads_of(int rank) const;
    // The segments whose borders are those of the columns.
    Result<Range> segments_within(Range columns) const;
    Status check_heads() const;

    ServingShape shape_;
    AttentionLayout layout_;
    int rank_;
    int size_;
};

}  // namespace turnpike::engine
