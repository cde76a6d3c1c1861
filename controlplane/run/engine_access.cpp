#include "controlplane/run/engine_access.h"

#include <utility>

#include "engine/api/meter_line.h"
#include "engine/api/protocol.h"

namespace turnpike::controlplane {

Result<net::HttpClientOptions> engine_options(const std::string& address,
                                              const EngineAccess& access) {
    auto options = net::peer_options(address, access.tls, engine::kEngineServerName);
    RETURN_IF_ERROR(options);
    options->connect_timeout = access.timeout;
    options->timeout = access.timeout;
    return options;
}

net::HttpRequest engine_request(std::string path, const ReplicaId& replica) {
    net::HttpRequest request;
    request.method = "GET";
    request.target = std::move(path);
    request.headers.add(std::string(engine::kReplicaHeader), replica.value());
    request.headers.add(std::string(kProtocolHeader), std::to_string(engine::kProtocol));
    return request;
}

}  // namespace turnpike::controlplane
