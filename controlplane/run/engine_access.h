// EngineAccess: how engines are asked.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "config/net/http_client.h"

namespace turnpike::controlplane {

struct EngineAccess {
    std::optional<net::TlsFiles> tls;     // for tls: addresses
    std::chrono::milliseconds timeout{};  // to connect, and as long to be answered
};

// kInvalidArgument for an address that is none, or a tls: one without files.
Result<net::HttpClientOptions> engine_options(const std::string& address,
                                              const EngineAccess& access);

// Means this replica: whichever else listens at its address refuses.
net::HttpRequest engine_request(std::string path, const ReplicaId& replica);

}  // namespace turnpike::controlplane
