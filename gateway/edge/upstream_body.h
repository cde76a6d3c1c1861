// Reads the whole body of an upstream's reply, for replies that are small and not relayed.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "gateway/edge/upstream_call.h"

namespace turnpike::gateway {

// After read_head(). Empty when it ends early, is broken, or is larger than `max_bytes`.
Task<std::optional<std::string>> read_body(UpstreamCall& call, std::size_t max_bytes);

}  // namespace turnpike::gateway
