// StepMessage: what rank 0 tells the other ranks of a step, so that they compute with it.
#pragma once

#include <vector>

#include "config/base/result.h"
#include "engine/core/batch.h"
#include "engine/model/model.h"
#include "kernels/api/communicator.h"

namespace turnpike::engine {

enum class StepKind : std::uint32_t {
    kStop,     // there are no more
    kForward,  // Model::forward() of rows.rows
    kDraft,    // Model::draft()
    kChainedDraft,
};

struct StepMessage {
    StepKind kind = StepKind::kStop;
    DraftRows rows;
    std::vector<std::vector<BlockId>> block_tables;  // that the slices point to

    StepMessage() = default;
    StepMessage(StepMessage&&) = default;
    StepMessage& operator=(StepMessage&&) = default;
};

// hidden_rows: of a draft.
std::vector<std::byte> encode_step(const ForwardRows& rows,
                                   const std::vector<std::int64_t>& hidden_rows);
// Errors: kCorrupt.
Result<StepMessage> decode_step(StepKind kind, std::span<const std::byte> bytes);

// By rank 0.
Status send_step(kernels::Communicator& communicator,
                 StepKind kind,
                 const ForwardRows& rows,
                 const std::vector<std::int64_t>& hidden_rows);
// By the others; waits for as long as rank 0 lives.
Result<StepMessage> receive_step(kernels::Communicator& communicator);

}  // namespace turnpike::engine
