// See partition.h.
#include "engine/model/partition.h"

#include <string>

#include "config/base/check.h"
#include "kernels/api/segments.h"

namespace turnpike::engine {
namespace {

Error obstacle(const std::string& what) {
    return invalid_argument("tensor-parallel attention: " + what +
                                "; use data-parallel attention or another number of ranks",
                            "ranks");
}

}  // namespace

Partition Partition::single(const ServingShape& shape) {
    return {shape, AttentionLayout::kTensorParallel, 0, 1};
}

Result<Partition> Partition::make(const ServingShape& shape,
                                  AttentionLayout layout,
                                  int rank,
                                  int size) {
    CHECK(size > 0 && rank >= 0 && rank < size);
    if (shape.vocab_size < size) {
        return invalid_argument("a vocabulary of " + std::to_string(shape.vocab_size) +
                                    " does not divide among " + std::to_string(size) + " ranks",
                                "ranks");
    }
    const Partition partition(shape, layout, rank, size);
    RETURN_IF_ERROR(partition.check_heads());
    return partition;
}

Range Partition::share_of(std::int64_t count, int rank) const {
    return {count * rank / size_, count * (rank + 1) / size_};
}

int Partition::owner(std::int64_t count, std::int64_t index) const {
    CHECK(index >= 0 && index < count);
    return static_cast<int>(((index + 1) * size_ - 1) / count);
}

Range Partition::heads_of(int rank) const {
    return is_data_parallel() ? Range{0, shape_.num_heads} : share_of(shape_.num_heads, rank);
}

Range Partition::kv_heads() const {
    const std::int64_t group = shape_.num_heads / shape_.num_kv_heads;
    const Range heads = this->heads();
    return {heads.begin / group, (heads.end - 1) / group + 1};
}

Result<Range> Partition::segments_within(Range columns) const {
    const std::int64_t k = shape_.num_heads * shape_.head_columns;
    Range segments{-1, -1};
    std::string borders;
    for (std::int64_t s = 0; s < kernels::num_segments(k); ++s) {
        const kernels::Segment segment = kernels::segment_of(k, s);
        if (segment.begin == columns.begin) segments.begin = s;
        if (segment.end == columns.end) segments.end = s + 1;
        borders += (s == 0 ? "" : ", ") + std::to_string(segment.end);
    }
    if (segments.begin >= 0 && segments.end >= 0) return segments;
    return obstacle("a rank's heads would be columns " + std::to_string(columns.begin) + " to " +
                    std::to_string(columns.end) +
                    " of the output projection, whose sum has its borders at " + borders);
}

Status Partition::check_heads() const {
    if (size_ == 1 || is_data_parallel()) return {};
    const std::int64_t heads = shape_.num_heads;
    const std::string ranks = " do not divide among " + std::to_string(size_) + " ranks";
    if (heads % (size_ * shape_.head_unit) != 0) {
        return obstacle(std::to_string(heads) + " heads in units of " +
                        std::to_string(shape_.head_unit) + ranks);
    }
    const std::int64_t per_rank = heads / size_;
    const std::int64_t group = heads / shape_.num_kv_heads;
    if (per_rank % group != 0 && group % per_rank != 0)
        return obstacle(std::to_string(shape_.num_kv_heads) + " key/value heads" + ranks);
    for (int rank = 0; rank < size_; ++rank) {
        const Range held = heads_of(rank);
        RETURN_IF_ERROR(
            segments_within({held.begin * shape_.head_columns, held.end * shape_.head_columns}));
    }
    return {};
}

SplitK Partition::attention_output() const {
    const Range held = heads();
    SplitK split{{}, {}, {held.begin * shape_.head_columns, held.end * shape_.head_columns}};
    if (size_ == 1 || is_data_parallel()) return split;
    for (int rank = 0; rank < size_; ++rank) {
        const Range of_rank = heads_of(rank);
        const auto segments = segments_within(
            {of_rank.begin * shape_.head_columns, of_rank.end * shape_.head_columns});
        CHECK(segments.has_value());  // as make() checked
        split.segments.push_back(*segments);
    }
    split.own_segments = split.segments[static_cast<std::size_t>(rank_)];
    return split;
}

SplitK Partition::mlp(std::int64_t width) const {
    SplitK split{{}, {}, {0, width}};
    if (size_ == 1) return split;
    const std::int64_t count = kernels::num_segments(width);
    for (int rank = 0; rank < size_; ++rank) split.segments.push_back(share_of(count, rank));
    const Range own = split.own_segments = share_of(count, rank_);
    split.own_columns = own.is_empty() ? Range{}
                                       : Range{kernels::segment_of(width, own.begin).begin,
                                               kernels::segment_of(width, own.end - 1).end};
    return split;
}

}  // namespace turnpike::engine
