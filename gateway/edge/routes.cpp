#include "gateway/edge/routes.h"

#include <array>

#include "config/base/check.h"

namespace turnpike::gateway {
namespace {

struct RouteInfo {
    Route route;
    std::string_view path;
    std::string_view method;
    std::string_view name;
    bool needs_key;
    bool is_completion;
};

constexpr std::array<RouteInfo, 5> kRoutes{{
    {Route::kChatCompletions, "/v1/chat/completions", "POST", "chat_completions", true, true},
    {Route::kCompletions, "/v1/completions", "POST", "completions", true, true},
    {Route::kModels, "/v1/models", "GET", "models", true, false},
    {Route::kHealth, "/healthz", "GET", "health", false, false},
    {Route::kReady, "/readyz", "GET", "ready", false, false},
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

std::string_view method_of(Route route) {
    return info_of(route).method;
}

std::string_view path_of(Route route) {
    return info_of(route).path;
}

Result<Route> find_route(std::string_view path) {
    for (const RouteInfo& info : kRoutes) {
        if (info.path == path) return info.route;
    }
    return Error{
        ErrorCode::kNotFound,
        "unknown route: this server has POST /v1/chat/completions, POST /v1/completions and "
        "GET /v1/models",
        {}};
}

}  // namespace turnpike::gateway
