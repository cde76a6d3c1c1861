// Routes of endpoints, hardware and zones, for operators and, behind a gateway, for customers:
// ops/docs/formats/admin-api.md.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "config/base/clock.h"
#include "controlplane/serve/router.h"
#include "controlplane/serve/settings.h"
#include "controlplane/store/organisations.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// Who asks: an organisation, whose endpoints alone exist for it, or nobody, who is an operator and
// sees everything. `actor` stands in the audit.
struct EndpointCaller {
    std::optional<Organisation> organisation;
    std::string actor;
};

using EndpointCallerOf = std::function<Result<EndpointCaller>(const net::HttpRequest&)>;

// By `?org=`, an id or a name; without it an operator. `store` outlives the function.
EndpointCallerOf endpoint_caller_of_operator(const Store& store);
// By the gateway's headers; kUnauthenticated without them. `store` outlives the function.
EndpointCallerOf endpoint_caller_of_gateway(const Store& store);

// All outlive the router.
struct EndpointContext {
    Store& store;
    const ControlplaneSettings& settings;
    const Clock& clock;
    EndpointCallerOf caller_of;
};

// Together's routes: /v1/endpoints, /v1/hardware, /v1/clusters/availability-zones.
void add_endpoint_routes(Router& router, const EndpointContext& context);

// 200 with Together's DedicatedEndpoint.
Result<net::HttpResponse> show_endpoint(const Store& store, const Endpoint& endpoint);

}  // namespace turnpike::controlplane
