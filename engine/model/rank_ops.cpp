// See rank_ops.h.
#include "engine/model/rank_ops.h"

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <utility>

#include "config/base/check.h"
#include "kernels/api/segments.h"

namespace turnpike::engine {

using kernels::MatrixView;

void RankLink::require(const Status& status) const {
    if (status) return;
    if (on_failure) on_failure(status.error());
    std::fprintf(stderr, "a rank is lost: %s\n", status.error().message.c_str());
    std::abort();
}

RankOps::RankOps(kernels::Backend& backend, const Partition& partition, RankLink link)
    : backend_(&backend),
      partition_(partition),
      link_(std::move(link)),
      scratch_(backend, kNumUses) {
    CHECK(partition_.size() == link_.size() && partition_.rank() == link_.rank());
}

void RankOps::copy(MatrixView from, MatrixView to) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(from.rows));
    std::iota(rows.begin(), rows.end(), 0);
    backend_->gather_rows(from, rows, to);
}

void RankOps::gather_bytes(void* data, std::span<const std::size_t> part_bytes) {
    link_.require(link_.communicator->all_gather(data, part_bytes));
}

void RankOps::gather(MatrixView parts, std::span<const std::int64_t> counts) {
    CHECK(parts.stride == parts.cols);
    const auto row_bytes = static_cast<std::size_t>(parts.cols) * dtype_bytes(parts.dtype);
    std::vector<std::size_t> part_bytes;
    for (const std::int64_t count : counts)
        part_bytes.push_back(static_cast<std::size_t>(count) * row_bytes);
    gather_bytes(parts.data, part_bytes);
}

RankOps::Deal RankOps::deal(std::span<const std::int32_t> items,
                            const std::function<int(std::int32_t)>& owner) const {
    Deal deal;
    deal.of_rank.resize(static_cast<std::size_t>(partition_.size()));
    std::vector<int> owners;
    owners.reserve(items.size());
    for (const std::int32_t item : items) {
        owners.push_back(owner(item));
        ++deal.of_rank[static_cast<std::size_t>(owners.back())];
    }
    std::vector<std::int64_t> next(deal.of_rank.size());
    std::exclusive_scan(deal.of_rank.begin(), deal.of_rank.end(), next.begin(), std::int64_t{0});
    deal.first_own_place = next[static_cast<std::size_t>(partition_.rank())];
    deal.place.reserve(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
        deal.place.push_back(next[static_cast<std::size_t>(owners[i])]++);
        if (owners[i] == partition_.rank()) deal.own.push_back(static_cast<std::int64_t>(i));
    }
    return deal;
}

void RankOps::embed(std::span<const std::int32_t> tokens,
                    const kernels::PreparedWeight& table,
                    MatrixView out) {
    if (partition_.size() == 1) return backend_->embed(tokens, table, out);
    const Deal dealt =
        deal(tokens, [this](std::int32_t token) { return partition_.owner_of_token(token); });
    const auto count = static_cast<std::int64_t>(dealt.own.size());
    const auto first_token =
        static_cast<std::int32_t>(partition_.vocab_of(partition_.rank()).begin);
    std::vector<std::int32_t> own;
    for (const std::int64_t i : dealt.own)
        own.push_back(tokens[static_cast<std::size_t>(i)] - first_token);
    const MatrixView parts = scratch_.take(kParts, out.rows, out.cols);
    if (count > 0) backend_->embed(own, table, parts.row_range(dealt.first_own_place, count));
    gather(parts, dealt.of_rank);
    backend_->gather_rows(parts, dealt.place, out);
}

void RankOps::linear_split_k(MatrixView x, const SplitLinear& weight, MatrixView out) {
    if (weight.whole != nullptr) return backend_->linear_split_k(x, *weight.whole, out);
    const std::vector<Range>& ranges = weight.split.segments;
    const MatrixView sums = scratch_.take(kSegments, ranges.back().end * out.rows, out.cols);
    const auto sums_of = [&](std::int64_t segment) {
        return sums.row_range(segment * out.rows, out.rows);
    };
    const Range own = weight.split.own_segments;
    for (std::int64_t s = own.begin, column = 0; s < own.end; ++s) {
        const auto& part = *weight.segments[static_cast<std::size_t>(s - own.begin)];
        backend_->linear(x.col_range(column, part.cols()), part, sums_of(s));
        column += part.cols();
    }
    std::vector<std::int64_t> counts;
    counts.reserve(ranges.size());
    for (const Range& range : ranges) counts.push_back(range.size() * out.rows);
    gather(sums, counts);
    copy(sums_of(0), out);
    for (std::int64_t s = 1; s < ranges.back().end; ++s) backend_->add(sums_of(s), out);
}

void RankOps::run_mlp(const SplitMlp& weights, MatrixView x, MatrixView out) {
    const std::int64_t width = weights.gate != nullptr ? weights.gate->rows() : 0;
    const MatrixView gate = scratch_.take(kGate, x.rows, width);
    if (width > 0) {
        const MatrixView up = scratch_.take(kUp, x.rows, width);
        const kernels::Backend::Product products[] = {{weights.gate.get(), gate},
                                                      {weights.up.get(), up}};
        backend_->linears(x, products);
        backend_->silu_mul(gate, up, gate);
    }
    linear_split_k(gate, weights.down, out);
}

void RankOps::run_experts(MatrixView x,
                          const kernels::Routing& routing,
                          std::span<const kernels::MlpWeights> experts,
                          MatrixView out) {
    if (partition_.size() == 1) return backend_->run_experts(x, routing, experts, out);
    const Deal dealt = deal(routing.experts, [this](std::int32_t expert) {
        return partition_.owner_of_expert(expert);
    });
    const auto count = static_cast<std::int64_t>(dealt.own.size());
    const MatrixView parts = scratch_.take(kParts, out.rows, out.cols);
    if (count > 0) {
        // Each choice of an own expert as a row of its own.
        kernels::Routing own{count, 1, {}, std::vector<float>(dealt.own.size(), 1.0F)};
        std::vector<std::int64_t> rows;
        const auto first_expert = static_cast<std::int32_t>(partition_.experts().begin);
        for (const std::int64_t slot : dealt.own) {
            own.experts.push_back(routing.experts[static_cast<std::size_t>(slot)] - first_expert);
            rows.push_back(slot / routing.num_chosen);
        }
        const MatrixView inputs = scratch_.take(kOwnInputs, count, x.cols);
        backend_->gather_rows(x, rows, inputs);
        backend_->run_experts(inputs, own, experts, parts.row_range(dealt.first_own_place, count));
    }
    gather(parts, dealt.of_rank);
    backend_->gather_rows(parts, dealt.place, out);
}

void RankOps::logits(MatrixView x, const kernels::PreparedWeight& head, MatrixView out) {
    if (partition_.size() == 1) return backend_->linear(x, head, out);
    // The columns of each rank as a matrix, one after the other.
    const MatrixView all = scratch_.take(kLogitParts, out.rows, out.cols);
    std::vector<MatrixView> parts;
    std::vector<std::size_t> part_bytes;
    for (int rank = 0; rank < partition_.size(); ++rank) {
        const Range columns = partition_.vocab_of(rank);
        const std::size_t element = dtype_bytes(all.dtype);
        auto* data = static_cast<std::byte*>(all.data) +
                     static_cast<std::size_t>(columns.begin * out.rows) * element;
        parts.push_back({data, all.dtype, out.rows, columns.size(), columns.size()});
        part_bytes.push_back(static_cast<std::size_t>(columns.size() * out.rows) * element);
    }
    backend_->linear(x, head, parts[static_cast<std::size_t>(partition_.rank())]);
    gather_bytes(all.data, part_bytes);
    for (int rank = 0; rank < partition_.size(); ++rank) {
        const Range columns = partition_.vocab_of(rank);
        copy(parts[static_cast<std::size_t>(rank)], out.col_range(columns.begin, columns.size()));
    }
}

AttentionRows RankOps::attention_rows(const ForwardRows& rows) const {
    if (!partition_.is_data_parallel())
        return {0, rows.positions, rows.prompt_slices, rows.generated_slices, {}};
    AttentionRows own;
    own.rows_of_rank = rows.pool_rows;
    if (own.rows_of_rank.empty())
        own.rows_of_rank.push_back(static_cast<std::int64_t>(rows.positions.size()));
    own.rows_of_rank.resize(static_cast<std::size_t>(partition_.size()));
    const auto first_rank = own.rows_of_rank.begin();
    const auto own_rank = first_rank + partition_.rank();
    own.first = std::accumulate(first_rank, own_rank, std::int64_t{0});
    const std::int64_t end = own.first + *own_rank;
    own.positions.assign(rows.positions.begin() + own.first, rows.positions.begin() + end);
    const auto take = [&](const std::vector<kernels::AttentionSlice>& from, auto& to) {
        for (kernels::AttentionSlice slice : from) {
            if (slice.first_row < own.first || slice.first_row >= end) continue;
            slice.first_row -= own.first;
            to.push_back(slice);
        }
    };
    take(rows.prompt_slices, own.prompt_slices);
    take(rows.generated_slices, own.generated_slices);
    return own;
}

void RankOps::gather_rows(const AttentionRows& rows, MatrixView x) {
    if (partition_.is_data_parallel()) gather(x, rows.rows_of_rank);
}

}  // namespace turnpike::engine
