#include "gateway/edge/controlplane_wire.h"

#include <string>
#include <utility>

#include "controlplane/api/protocol.h"

namespace turnpike::gateway {

Result<net::HttpResponse> call_controlplane(net::HttpClient& client, net::HttpRequest request) {
    request.headers.add(std::string(kProtocolHeader), std::to_string(controlplane::kProtocol));
    auto response = client.send(request);
    RETURN_IF_ERROR(response);
    RETURN_IF_ERROR(check_protocol(controlplane::kGatewayEnd,
                                   controlplane::kControlplaneEnd.process,
                                   response->headers.get(kProtocolHeader)));
    return response;
}

}  // namespace turnpike::gateway
