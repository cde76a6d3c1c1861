#include "controlplane/serve/health_route.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "controlplane/serve/body.h"
#include "controlplane/store/quarantine.h"
#include "controlplane/store/store_gauges.h"

namespace turnpike::controlplane {
namespace {

using nlohmann::json;

Result<json> health_of(const Store& store, const BuildInfo& build) {
    const auto schema_version = read_schema_version(store);
    RETURN_IF_ERROR(schema_version);
    const auto num_quarantined = count_quarantine(store);
    RETURN_IF_ERROR(num_quarantined);
    return json{{"status", "ok"},
                {"store", store.store_id()},
                {"revision", store.revision()},
                {"quarantined", *num_quarantined},
                {"schema_version", *schema_version},
                {"version", build.version},
                {"commit", build.commit}};
}

}  // namespace

void add_health_route(Router& router, const Store& store, BuildInfo build) {
    router.add("GET", "/healthz",
               [&store, build = std::move(build)](const net::HttpRequest&, const PathArguments&) {
                   const auto health = health_of(store, build);
                   return health ? json_response(200, dump(*health))
                                 : error_response(health.error());
               });
}

}  // namespace turnpike::controlplane
