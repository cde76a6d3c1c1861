// The protocol number of the control plane's internal socket: snapshots, usage, leases, load and
// customers' queries. See ops/docs/formats/versions.md.
#pragma once

#include "config/base/protocol.h"

namespace turnpike::controlplane {

// 1: without the header. 2: both ends say their number.
inline constexpr int kProtocol = 2;
inline constexpr ProtocolEnd kControlplaneEnd{"control plane", kProtocol};
inline constexpr ProtocolEnd kGatewayEnd{"gateway", kProtocol};

}  // namespace turnpike::controlplane
