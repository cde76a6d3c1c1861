// The protocol number of the engine's routes, as gateways and the control plane use them. See
// ops/docs/formats/versions.md.
#pragma once

#include "config/base/protocol.h"

namespace turnpike::engine {

// 1: without the header. 2: requests and GET /health say the number.
inline constexpr int kProtocol = 2;
inline constexpr ProtocolEnd kEngineEnd{"engine", kProtocol};

}  // namespace turnpike::engine
