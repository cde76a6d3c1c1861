#include "controlplane/serve/replica_routes.h"

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "controlplane/serve/endpoint_json.h"
#include "controlplane/serve/endpoint_routes.h"
#include "controlplane/store/audit.h"
#include "controlplane/store/endpoints.h"
#include "controlplane/store/replicas.h"

namespace turnpike::controlplane {
namespace {

using net::HttpRequest;
using net::HttpResponse;

constexpr const char* kOperator = "operator";
// The answer comes before the default time-out of our own HTTP client, 30 s.
constexpr auto kParkTimeout = std::chrono::seconds(25);

std::string list_of(const std::vector<std::string>& rows) {
    std::string joined;
    for (const std::string& row : rows) joined += (joined.empty() ? "" : ",") + row;
    return R"({"data":[)" + joined + "]}";
}

// A rolling update to what it runs already: for a new engine, or files that changed in place.
Result<HttpResponse> restart(const ReplicaContext& context,
                             const HttpRequest&,
                             const std::string& id) {
    const Result<Endpoint> endpoint = find_endpoint(context.store, EndpointId(id));
    if (!endpoint) return endpoint.error();
    EndpointChange change;
    change.restart = true;
    const Result<Endpoint> changed =
        update_endpoint(context.store, endpoint->id, change, kOperator, context.clock.wall_now());
    if (!changed) return changed.error();
    return show_endpoint(context.store, *changed);
}

Result<HttpResponse> list_its_replicas(const ReplicaContext& context,
                                       const HttpRequest&,
                                       const std::string& id) {
    const Result<Endpoint> endpoint = find_endpoint(context.store, EndpointId(id));
    if (!endpoint) return endpoint.error();
    const Result<std::vector<Replica>> replicas = list_replicas(context.store, endpoint->id);
    if (!replicas) return replicas.error();
    const Result<std::vector<ObservedProcess>> processes = context.driver.list();
    if (!processes) return processes.error();
    std::map<ReplicaId, std::int64_t> pids;
    for (const ObservedProcess& process : *processes) pids[process.id] = process.pid;
    std::vector<std::string> rows;
    for (const Replica& replica : *replicas)
        rows.push_back(write_replica(replica, pids[replica.id]));
    return json_response(200, list_of(rows));
}

void park(const ReplicaContext& context, const std::shared_ptr<net::HttpReply>& reply) {
    const Status noted =
        note_action(context.store, "replicas.park", "all", "", context.clock.wall_now());
    if (!noted) return reply->respond(error_response(noted.error()));
    context.loop.park(kParkTimeout, [reply](bool nothing_runs) {
        if (nothing_runs) return reply->respond(json_response(200, R"({"parked":true})"));
        reply->respond(error_response(
            Error{ErrorCode::kTimeout, "replicas are still draining; ask again to wait on", {}}));
    });
}

}  // namespace

void add_replica_routes(Router& router, const ReplicaContext& context) {
    const auto with_id = [&](const char* method, const char* pattern, auto function) {
        router.add(method, pattern,
                   [context, function](const HttpRequest& request, const PathArguments& path) {
                       const Result<HttpResponse> found = function(context, request, path.at(0));
                       return found ? *found : error_response(found.error());
                   });
    };
    with_id("POST", "/admin/v1/endpoints/{}/restart", restart);
    with_id("GET", "/admin/v1/endpoints/{}/replicas", list_its_replicas);
    router.add_deferred(
        "POST", "/admin/v1/park",
        [context](const HttpRequest&, const PathArguments&,
                  const std::shared_ptr<net::HttpReply>& reply) { park(context, reply); });
}

}  // namespace turnpike::controlplane
