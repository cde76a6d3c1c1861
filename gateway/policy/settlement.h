// Settlement: how a dispatched request is recorded, decided from what was seen of its reply. What
// the client caused is billed to the last meter line; what we broke is written off. Pure.
#pragma once

#include <optional>

#include "config/base/money.h"
#include "controlplane/api/usage_record.h"

namespace turnpike::gateway {

// What a gateway saw of one metered reply.
struct ReplyFacts {
    std::optional<TokenUsage> meter;  // the last meter line
    bool is_complete = false;         // stream: [DONE] came; unary: the whole answer came
    bool has_ended = false;           // the body ended as HTTP wants it
    bool has_error = false;           // the engine sent an error event
    bool is_client_gone = false;      // FIN, reset, or a client that took no bytes in time
    bool was_client_slow = false;     // the client's socket was full at least once
    bool is_cut_off = false;          // we ran out of patience: with the request, or after a cancel
    bool is_exhausted = false;        // we stopped the engine because the credit is gone
};

struct Settlement {
    controlplane::Outcome outcome = controlplane::Outcome::kCompleted;
    TokenUsage usage;
    // The counts are not known here: the engine's meter must be asked for them by request id.
    bool needs_meter = false;
};

Settlement settle(const ReplyFacts& facts);

}  // namespace turnpike::gateway
