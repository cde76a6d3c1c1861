// RankOps: the ops of a layer that the ranks of a model share, with the bits of one rank. On one
// rank each is the backend's op and nothing else.
//
// What moves: outputs of the o and down projections as unsummed segments, outputs of experts
// unsummed, rows of the embedding, columns of the logits, and under data-parallel attention the
// rows that each rank attended for.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/model/model.h"
#include "engine/model/partition.h"
#include "engine/model/rank_link.h"
#include "engine/model/scratch.h"
#include "engine/model/weights.h"
#include "kernels/api/backend.h"

namespace turnpike::engine {

// The rows of a step that this rank attends for: consecutive ones. Slices count from `first`.
struct AttentionRows {
    std::int64_t first = 0;
    std::vector<std::int32_t> positions;
    std::vector<kernels::AttentionSlice> prompt_slices;
    std::vector<kernels::AttentionSlice> generated_slices;
    std::vector<std::int64_t> rows_of_rank;  // where each rank attends for its own

    std::int64_t count() const { return static_cast<std::int64_t>(positions.size()); }

    kernels::MatrixView of(kernels::MatrixView x) const { return x.row_range(first, count()); }
};

class RankOps {
  public:
    // backend outlives the object. The link is of partition.size() ranks.
    RankOps(kernels::Backend& backend, const Partition& partition, RankLink link);

    kernels::Backend& backend() const { return *backend_; }

    const Partition& partition() const { return partition_; }

    // out[i] = row tokens[i] of the table, of which this rank has its vocabulary's share.
    void embed(std::span<const std::int32_t> tokens,
               const kernels::PreparedWeight& table,
               kernels::MatrixView out);
    // x: this rank's columns of the input.
    void linear_split_k(kernels::MatrixView x, const SplitLinear& weight, kernels::MatrixView out);
    void run_mlp(const SplitMlp& weights, kernels::MatrixView x, kernels::MatrixView out);
    // experts: this rank's. out: of all experts, as Backend::run_experts gives it.
    void run_experts(kernels::MatrixView x,
                     const kernels::Routing& routing,
                     std::span<const kernels::MlpWeights> experts,
                     kernels::MatrixView out);
    // The head over x, of which this rank has its vocabulary's share.
    void logits(kernels::MatrixView x,
                const kernels::PreparedWeight& head,
                kernels::MatrixView out);

    AttentionRows attention_rows(const ForwardRows& rows) const;
    // Fills in the rows that others attended for.
    void gather_rows(const AttentionRows& rows, kernels::MatrixView x);

  private:
    enum Use : std::size_t {
        kSegments,
        kGate,
        kUp,
        kOwnInputs,
        kParts,
        kLogitParts,
        kNumUses,
    };

    // Items of which each has an owner, sorted by it: what each rank computes of them.
    struct Deal {
        std::vector<std::int64_t> own;      // items of this rank
        std::vector<std::int64_t> place;    // of each item among all ranks' parts
        std::vector<std::int64_t> of_rank;  // how many
        std::int64_t first_own_place = 0;
    };

    Deal deal(std::span<const std::int32_t> items,
              const std::function<int(std::int32_t)>& owner) const;
    // counts: rows of each rank, one rank's after the other's.
    void gather(kernels::MatrixView parts, std::span<const std::int64_t> counts);
    void gather_bytes(void* data, std::span<const std::size_t> part_bytes);
    void copy(kernels::MatrixView from, kernels::MatrixView to);

    kernels::Backend* backend_;
    Partition partition_;
    RankLink link_;
    Scratch scratch_;
};

}  // namespace turnpike::engine
