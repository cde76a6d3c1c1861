#include "gateway/edge/routes.h"

#include <algorithm>
#include <array>

#include "config/base/check.h"

namespace turnpike::gateway {
namespace {

struct RouteInfo {
    Route route;
    std::string_view path;
    std::string_view methods;
    std::string_view name;
    bool needs_key;
    bool is_completion;
    bool is_controlplanes;
};

constexpr std::array<RouteInfo, kNumRoutes> kRoutes{{
    {Route::kChatCompletions, "/v1/chat/completions", "POST", "chat_completions", true, true,
     false},
    {Route::kCompletions, "/v1/completions", "POST", "completions", true, true, false},
    {Route::kModels, "/v1/models", "GET", "models", true, false, false},
    {Route::kGeneration, "/v1/generation", "GET", "generation", true, false, true},
    {Route::kWhoAmI, "/v1/whoami", "GET", "whoami", true, false, true},
    {Route::kUsage, "/v1/organization/usage/completions", "GET", "usage", true, false, true},
    {Route::kCosts, "/v1/organization/costs", "GET", "costs", true, false, true},
    {Route::kBilling, "/v1/billing/usage", "GET", "billing", true, false, true},
    {Route::kEndpoints, "/v1/endpoints", "GET, POST", "endpoints", true, false, true},
    // And an id behind it.
    {Route::kEndpoint, "/v1/endpoints/", "GET, PATCH, DELETE", "endpoint", true, false, true},
    {Route::kHardware, "/v1/hardware", "GET", "hardware", true, false, true},
    {Route::kZones, "/v1/clusters/availability-zones", "GET", "availability_zones", true, false,
     true},
    {Route::kHealth, "/healthz", "GET", "health", false, false, false},
    {Route::kReady, "/readyz", "GET", "ready", false, false, false},
}};

const RouteInfo& info_of(Route route) {
    for (const RouteInfo& info : kRoutes) {
        if (info.route == route) return info;
    }
    CHECK(false && "unknown Route");
}

}  // namespace

std::string_view to_string(Route route) {
    return info_of(route).name;
}

bool needs_key(Route route) {
    return info_of(route).needs_key;
}

bool is_completion(Route route) {
    return info_of(route).is_completion;
}

bool is_controlplanes(Route route) {
    return info_of(route).is_controlplanes;
}

std::string_view methods_of(Route route) {
    return info_of(route).methods;
}

bool allows(Route route, std::string_view method) {
    std::string_view methods = methods_of(route);
    while (!methods.empty()) {
        const std::string_view one = methods.substr(0, methods.find(','));
        if (one == method) return true;
        methods.remove_prefix(std::min(one.size() + 2, methods.size()));
    }
    return false;
}

bool has_body(std::string_view method) {
    return method == "POST" || method == "PATCH";
}

std::string_view path_of(Route route) {
    return info_of(route).path;
}

Result<Route> find_route(std::string_view path) {
    for (const RouteInfo& info : kRoutes) {
        if (info.path == path && info.route != Route::kEndpoint) return info.route;
    }
    const std::string_view endpoint = path_of(Route::kEndpoint);
    const bool is_endpoint = path.starts_with(endpoint) && path.size() > endpoint.size() &&
                             path.find('/', endpoint.size()) == std::string_view::npos;
    if (is_endpoint) return Route::kEndpoint;
    return Error{
        ErrorCode::kNotFound,
        "unknown route: this server has POST /v1/chat/completions, POST /v1/completions and "
        "GET /v1/models, generation, whoami, organization/usage/completions, organization/costs, "
        "billing/usage, endpoints, hardware and clusters/availability-zones",
        {}};
}

}  // namespace turnpike::gateway
