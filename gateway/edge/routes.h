// The public routes. Pure.
#pragma once

#include <cstddef>
#include <string_view>

#include "config/base/result.h"

namespace turnpike::gateway {

enum class Route {
    kChatCompletions,
    kCompletions,
    kModels,
    kGeneration,
    kWhoAmI,
    kUsage,
    kCosts,
    kBilling,
    kEndpoints,
    kEndpoint,
    kHardware,
    kZones,
    kHealth,
    kReady
};

inline constexpr std::size_t kNumRoutes = 14;

// For logs: "chat_completions".
std::string_view to_string(Route route);

bool needs_key(Route route);
// POST with a JSON body that goes to a replica.
bool is_completion(Route route);
// Answered by the control plane, for the key's organisation.
bool is_controlplanes(Route route);
// The methods of a route, as the header allow lists them: "GET, POST".
std::string_view methods_of(Route route);
bool allows(Route route, std::string_view method);
// Whether a request of this method has a JSON body.
bool has_body(std::string_view method);
// The route's path at the gateway and at the engine.
std::string_view path_of(Route route);

// kNotFound for another path.
Result<Route> find_route(std::string_view path);

}  // namespace turnpike::gateway
