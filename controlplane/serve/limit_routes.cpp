#include "controlplane/serve/limit_routes.h"

#include <utility>

#include "config/base/money.h"
#include "controlplane/serve/body.h"
#include "controlplane/store/limits.h"

namespace turnpike::controlplane {
namespace {

using net::HttpRequest;
using nlohmann::json;

net::HttpResponse answer(const Result<json>& result) {
    return result ? json_response(200, dump(*result)) : error_response(result.error());
}

// What is wrong with a body is the sender's to know, not a fault of ours.
Result<Limits> as_sent(Result<Limits> limits) {
    if (limits || limits.error().code != ErrorCode::kCorrupt) return limits;
    return invalid_argument(limits.error().message, limits.error().param);
}

json to_json(const NamedLimits& found) {
    json object = json::parse(write_limits(found.row.limits));
    const auto& monthly = found.row.limits.monthly_spend;
    object["monthly_usd"] = monthly ? json(format_usd(*monthly)) : json(nullptr);
    object["subject"] = found.row.subject;
    object["name"] = found.name;
    return object;
}

Result<json> list_route(const Store& store) {
    const auto found = list_limits(store);
    RETURN_IF_ERROR(found);
    json data = json::array();
    for (const NamedLimits& one : *found) data.push_back(to_json(one));
    return json{{"data", std::move(data)}};
}

Result<json> get_route(const Store& store, const HttpRequest& request) {
    const std::string subject = request.query("subject");
    if (subject.empty()) return list_route(store);
    const auto found = find_limits(store, subject);
    RETURN_IF_ERROR(found);
    return to_json(*found);
}

Result<json> change_route(Store& store,
                          const HttpRequest& request,
                          const ChangeOfLimits& change,
                          WallTime now) {
    const auto changed = change_limits(store, request.query("subject"), change, now);
    RETURN_IF_ERROR(changed);
    return to_json(*changed);
}

}  // namespace

void add_limit_routes(Router& admin, Store& store, const Clock& clock) {
    admin.add("GET", "/admin/v1/limits", [&](const HttpRequest& request, const PathArguments&) {
        return answer(get_route(store, request));
    });
    admin.add("PUT", "/admin/v1/limits", [&](const HttpRequest& request, const PathArguments&) {
        const auto replace = [&](const Limits&) { return as_sent(parse_limits(request.body)); };
        return answer(change_route(store, request, replace, clock.wall_now()));
    });
    admin.add("PATCH", "/admin/v1/limits", [&](const HttpRequest& request, const PathArguments&) {
        const auto merge = [&](const Limits& limits) {
            return as_sent(merge_limits(limits, request.body));
        };
        return answer(change_route(store, request, merge, clock.wall_now()));
    });
}

}  // namespace turnpike::controlplane
