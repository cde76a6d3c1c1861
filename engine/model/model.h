// Model: the forward pass of any architecture, as the runner sees it. Tensors, no policy.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "config/base/ids.h"
#include "engine/model/load.h"
#include "kernels/api/attention.h"
#include "kernels/api/tensor.h"

namespace turnpike::engine {

// The rows of one step. Every row is in one slice: of prompt rows or of generated rows.
struct ForwardRows {
    std::vector<TokenId> tokens;                            // below the vocabulary size
    std::vector<std::int32_t> positions;                    // below the model's context
    std::vector<kernels::AttentionSlice> prompt_slices;     // naive attention
    std::vector<kernels::AttentionSlice> generated_slices;  // absorbed attention
    std::vector<std::int64_t> logit_rows;                   // rows whose logits are wanted
    // Rows of each block pool, one pool's after the other's; empty = all are of one pool.
    std::vector<std::int64_t> pool_rows;
};

// The rows of one draft step: row i takes the main model's output at hidden_rows[i] of the newest
// forward() and the token that follows it.
struct DraftRows {
    ForwardRows rows;                       // tokens: the following ones; positions: the rows' own
    std::vector<std::int64_t> hidden_rows;  // one per row
    // Drafts after drafts: hidden_rows are wanted rows of the newest draft(), whose own output
    // stands for the main model's, and the following tokens are guesses. The keys of these rows are
    // guesses too, to be written again when the tokens are known.
    bool is_chained = false;
};

class Model {
  public:
    virtual ~Model() = default;
    virtual const ModelInfo& info() const = 0;
    virtual std::unique_ptr<kernels::KvCache> make_kv_cache(std::int64_t num_blocks) = 0;
    // Writes the rows' keys and values to the cache. Returns the logits [logit_rows.size(),
    // vocab_size] of the wanted rows, in the backend's memory, valid until the next call.
    virtual kernels::MatrixView forward(const ForwardRows& rows, kernels::KvCache& cache) = 0;
    // Multi-token prediction: the logits of the token after the following one, at the wanted rows,
    // ascending ones. Writes the draft layer's own keys and values of every row; those of every
    // earlier position of the sequence have been written before. Without a wanted row that is all
    // it does, at a small part of the layer's cost. Only for a model loaded with its draft layer;
    // valid until the next call.
    virtual kernels::MatrixView draft(const DraftRows& rows, kernels::KvCache& cache) = 0;
};

}  // namespace turnpike::engine
