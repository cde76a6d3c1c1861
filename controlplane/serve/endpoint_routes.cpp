#include "controlplane/serve/endpoint_routes.h"

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "controlplane/api/caller.h"
#include "controlplane/serve/endpoint_json.h"
#include "controlplane/serve/seed.h"
#include "controlplane/store/endpoints.h"
#include "controlplane/store/minutes.h"
#include "controlplane/store/organisations.h"
#include "controlplane/store/replicas.h"

namespace turnpike::controlplane {
namespace {

using net::HttpRequest;
using net::HttpResponse;

// One cent is 10^7 nano-dollars.
constexpr std::int64_t kNanoUsdPerCent = 10'000'000;

// Answers with the response, or with the error's.
HttpResponse answer(const Result<HttpResponse>& result) {
    return result ? *result : error_response(result.error());
}

std::string list_of(const std::vector<std::string>& rows, bool with_object) {
    std::string joined;
    for (const std::string& row : rows) joined += (joined.empty() ? "" : ",") + row;
    return std::string("{") + (with_object ? R"("object":"list",)" : "") + R"("data":[)" + joined +
           "]}";
}

Result<std::map<OrgId, std::string>> names_by_org(const Store& store) {
    const Result<std::vector<Organisation>> all = list_organisations(store);
    if (!all) return all.error();
    std::map<OrgId, std::string> names;
    for (const Organisation& one : *all) names[one.id] = one.name;
    return names;
}

// What this caller may see under this id; somebody else's is not found.
Result<Endpoint> find_visible(const EndpointContext& context,
                              const EndpointCaller& caller,
                              const std::string& id) {
    const auto owner =
        caller.organisation ? std::optional<OrgId>(caller.organisation->id) : std::nullopt;
    return find_endpoint(context.store, EndpointId(id), owner);
}

Result<int> count_used_slots(const Store& store, const std::string& hardware) {
    const Result<std::vector<Endpoint>> endpoints = list_wanted_endpoints(store);
    if (!endpoints) return endpoints.error();
    std::map<EndpointId, const Endpoint*> by_id;
    for (const Endpoint& endpoint : *endpoints) by_id[endpoint.id] = &endpoint;
    const Result<std::vector<Replica>> replicas = list_replicas(store, std::nullopt);
    if (!replicas) return replicas.error();
    int num_used = 0;
    for (const Replica& replica : *replicas) {
        const auto endpoint = by_id.find(replica.endpoint);
        const bool is_here = endpoint != by_id.end() && endpoint->second->hardware == hardware;
        const bool is_free = replica.state == ReplicaState::kStopped;
        num_used += is_here && !is_free ? 1 : 0;
    }
    return num_used;
}

Result<HttpResponse> list_hardware(const EndpointContext& context, const HttpRequest& request) {
    const std::string model = request.query("model");
    if (!model.empty() && context.settings.find_model(model) == nullptr)
        return Error{ErrorCode::kNotFound, "model '" + model + "' does not exist", "model"};
    std::vector<std::string> rows;
    for (const HardwareSettings& row : context.settings.hardware) {
        const Result<int> num_used = count_used_slots(context.store, row.hardware.id);
        if (!num_used) return num_used.error();
        Hardware hardware = row.hardware;
        hardware.is_available = *num_used < row.num_slots;
        rows.push_back(write_hardware(hardware, !model.empty(), context.clock.wall_now()));
    }
    return json_response(200, list_of(rows, true));
}

Result<HttpResponse> list_zones(const EndpointContext& context, const HttpRequest&) {
    std::set<std::string> zones;
    for (const HardwareSettings& row : context.settings.hardware) {
        if (!row.zone.empty()) zones.insert(row.zone);
    }
    return json_response(200, nlohmann::json{{"avzones", zones}}.dump());
}

// The texts of these errors are what Together's command line looks for before it shows the
// hardware list.
Result<const HardwareSettings*> check_hardware(const ControlplaneSettings& settings,
                                               const CreateEndpointBody& body) {
    const HardwareSettings* hardware = settings.find_hardware(body.hardware);
    if (hardware == nullptr)
        return invalid_argument("invalid hardware provided: '" + body.hardware +
                                    "'; check the hardware API for what there is",
                                "hardware");
    if (body.autoscaling.min_replicas > hardware->num_slots)
        return invalid_argument("hardware '" + body.hardware + "' has room for " +
                                    std::to_string(hardware->num_slots) +
                                    " replicas; check the hardware API",
                                "autoscaling.min_replicas");
    if (!body.availability_zone.empty() && body.availability_zone != hardware->zone)
        return invalid_argument("hardware '" + body.hardware + "' is not in the zone '" +
                                    body.availability_zone + "'; see GET " +
                                    "/v1/clusters/availability-zones",
                                "availability_zone");
    return hardware;
}

NewEndpoint new_dedicated(const CreateEndpointBody& body,
                          const EndpointCaller& caller,
                          const ModelSettings& model,
                          const EndpointQuota& quota) {
    const Organisation& owner = *caller.organisation;
    NewEndpoint request;
    request.idempotency_key = body.idempotency_key;
    request.quota = quota;
    request.actor = caller.actor;
    Endpoint& wanted = request.wanted;
    wanted.name = new_endpoint_name(owner.name, body.model);
    wanted.display_name = body.display_name.empty() ? model.card.display_name : body.display_name;
    wanted.model = model.card.id;
    wanted.hardware = body.hardware;
    wanted.type = EndpointType::kDedicated;
    wanted.owner = owner.id;
    wanted.desired = body.state;
    wanted.autoscaling = body.autoscaling;
    wanted.inactive_timeout_minutes = body.inactive_timeout_minutes;
    wanted.disable_speculative_decoding = body.disable_speculative_decoding;
    ModelName name;
    name.owner = owner.id;
    name.served_model = model.card.id;
    name.display_name = wanted.display_name;
    name.organization = model.card.organization;
    name.context_length = model.card.context_length;
    request.published = name;
    return request;
}

// An endpoint is started when its owner has the credit for an hour of what always runs of it, and
// at least of one replica.
Status check_credit(const EndpointContext& context,
                    const Endpoint& endpoint,
                    NanoUsd minute_nano_usd) {
    constexpr int kMinutes = 60;
    const int num_replicas = std::max(endpoint.autoscaling.min_replicas, 1);
    const NanoUsd needed = multiply(minute_nano_usd, num_replicas * kMinutes);
    const auto owner = find_organisation(context.store, endpoint.owner.value());
    RETURN_IF_ERROR(owner);
    const NanoUsd available = owner->balance_nano_usd + context.settings.overdraft;
    if (available >= needed) return {};
    return Error{ErrorCode::kPaymentRequired,
                 "an hour of " + std::to_string(num_replicas) + " replicas on " +
                     endpoint.hardware + " costs " + format_usd(needed) +
                     " USD; this organisation has credit for " + format_usd(available),
                 {}};
}

Result<HttpResponse> create(const EndpointContext& context, const HttpRequest& request) {
    const auto caller = context.caller_of(request);
    if (!caller) return caller.error();
    if (!caller->organisation)
        return invalid_argument("org is required: whose endpoint this will be", "org");
    Result<CreateEndpointBody> body = parse_create_endpoint(request.body);
    if (!body) return body.error();
    // Together's command line sends the zone in the query, its libraries in the body.
    if (body->availability_zone.empty())
        body->availability_zone = request.query("availability_zone");
    if (body->idempotency_key.empty())
        body->idempotency_key = request.headers.get("idempotency-key");
    const ModelSettings* model = context.settings.find_model(body->model);
    if (model == nullptr)
        return invalid_argument("model '" + body->model + "' does not exist", "model");
    const Result<const HardwareSettings*> hardware = check_hardware(context.settings, *body);
    if (!hardware) return hardware.error();
    NewEndpoint wanted = new_dedicated(*body, *caller, *model, context.settings.quota);
    // Tokens cost nothing on one's own endpoint; its minutes do.
    wanted.price.per_minute_nano_usd =
        NanoUsd((*hardware)->hardware.cents_per_minute * kNanoUsdPerCent);
    if (wanted.wanted.desired == DesiredState::kStarted)
        RETURN_IF_ERROR(check_credit(context, wanted.wanted, wanted.price.per_minute_nano_usd));
    const Result<Endpoint> endpoint =
        create_endpoint(context.store, wanted, context.clock.wall_now());
    if (!endpoint) return endpoint.error();
    return show_endpoint(context.store, *endpoint);
}

// An organisation sees its own endpoints and the serverless pools, as at Together.
bool is_listed(const HttpRequest& request,
               const std::optional<Organisation>& caller,
               const Endpoint& endpoint) {
    const bool is_mine = !caller || endpoint.owner == caller->id;
    const bool is_shared = endpoint.type == EndpointType::kServerless;
    if (!is_mine && (!is_shared || request.query("mine") == "true")) return false;
    const std::string type = request.query("type");
    // Nothing here is reserved for a term.
    if (request.query("usage_type") == "reserved") return false;
    return type.empty() || type == to_string(endpoint.type);
}

Result<HttpResponse> list(const EndpointContext& context, const HttpRequest& request) {
    const auto caller = context.caller_of(request);
    if (!caller) return caller.error();
    const std::string type = request.query("type");
    if (!type.empty()) {
        const Result<EndpointType> parsed = parse_endpoint_type(type);
        if (!parsed) return invalid_argument("type: " + parsed.error().message, "type");
    }
    const auto names = names_by_org(context.store);
    if (!names) return names.error();
    const Result<std::vector<Endpoint>> endpoints = list_endpoints(context.store, std::nullopt);
    if (!endpoints) return endpoints.error();
    std::vector<std::string> rows;
    for (const Endpoint& endpoint : *endpoints) {
        if (is_listed(request, caller->organisation, endpoint))
            rows.push_back(write_listed_endpoint(endpoint, names->at(endpoint.owner)));
    }
    return json_response(200, list_of(rows, true));
}

Result<HttpResponse> get(const EndpointContext& context,
                         const HttpRequest& request,
                         const std::string& id) {
    const auto caller = context.caller_of(request);
    RETURN_IF_ERROR(caller);
    const Result<Endpoint> endpoint = find_visible(context, *caller, id);
    if (!endpoint) return endpoint.error();
    return show_endpoint(context.store, *endpoint);
}

Result<HttpResponse> patch(const EndpointContext& context,
                           const HttpRequest& request,
                           const std::string& id) {
    const auto caller = context.caller_of(request);
    RETURN_IF_ERROR(caller);
    const Result<Endpoint> endpoint = find_visible(context, *caller, id);
    if (!endpoint) return endpoint.error();
    Result<PatchEndpointBody> body = parse_patch_endpoint(request.body);
    if (!body) return body.error();
    const HardwareSettings* hardware = context.settings.find_hardware(endpoint->hardware);
    if (body->autoscaling && hardware != nullptr &&
        body->autoscaling->min_replicas > hardware->num_slots)
        return invalid_argument("hardware '" + endpoint->hardware + "' has room for " +
                                    std::to_string(hardware->num_slots) + " replicas",
                                "autoscaling.min_replicas");
    const bool starts = body->state == DesiredState::kStarted &&
                        endpoint->desired == DesiredState::kStopped &&
                        endpoint->type == EndpointType::kDedicated;
    if (starts) {
        const auto minute =
            price_of_minute(context.store, endpoint->name, context.clock.wall_now());
        RETURN_IF_ERROR(minute);
        RETURN_IF_ERROR(check_credit(context, *endpoint, *minute));
    }
    EndpointChange change;
    if (endpoint->type == EndpointType::kDedicated) change.quota = context.settings.quota;
    change.desired = body->state;
    change.display_name = body->display_name;
    change.autoscaling = body->autoscaling;
    change.inactive_timeout_minutes = body->inactive_timeout_minutes;
    change.disable_speculative_decoding = body->disable_speculative_decoding;
    const Result<Endpoint> changed = update_endpoint(context.store, endpoint->id, change,
                                                     caller->actor, context.clock.wall_now());
    if (!changed) return changed.error();
    return show_endpoint(context.store, *changed);
}

Result<HttpResponse> remove(const EndpointContext& context,
                            const HttpRequest& request,
                            const std::string& id) {
    const auto caller = context.caller_of(request);
    RETURN_IF_ERROR(caller);
    const Result<Endpoint> endpoint = find_visible(context, *caller, id);
    if (!endpoint) return endpoint.error();
    if (endpoint->type == EndpointType::kServerless)
        return Error{ErrorCode::kConflict,
                     "a serverless pool comes from the settings; take it out of them, or stop it",
                     {}};
    RETURN_IF_ERROR(
        delete_endpoint(context.store, endpoint->id, caller->actor, context.clock.wall_now()));
    return HttpResponse{204, {}, {}};
}

}  // namespace

EndpointCallerOf endpoint_caller_of_operator(const Store& store) {
    return [&store](const HttpRequest& request) -> Result<EndpointCaller> {
        const std::string org = request.query("org");
        if (org.empty()) return EndpointCaller{std::nullopt, "operator"};
        auto found = find_organisation(store, org);
        RETURN_IF_ERROR(found);
        return EndpointCaller{std::move(*found), "operator"};
    };
}

EndpointCallerOf endpoint_caller_of_gateway(const Store& store) {
    return [&store](const HttpRequest& request) -> Result<EndpointCaller> {
        const std::string org(request.headers.get(kCallerOrgHeader));
        if (org.empty()) return Error{ErrorCode::kUnauthenticated, "expected a caller", {}};
        auto found = find_organisation(store, org);
        RETURN_IF_ERROR(found);
        return EndpointCaller{std::move(*found),
                              "key:" + std::string(request.headers.get(kCallerKeyHeader))};
    };
}

Result<HttpResponse> show_endpoint(const Store& store, const Endpoint& endpoint) {
    const auto names = names_by_org(store);
    if (!names) return names.error();
    const auto owner = names->find(endpoint.owner);
    const std::string name = owner == names->end() ? endpoint.owner.value() : owner->second;
    return json_response(200, write_endpoint(endpoint, name));
}

void add_endpoint_routes(Router& router, const EndpointContext& context) {
    const auto plain = [&](const char* method, const char* pattern, auto function) {
        router.add(method, pattern,
                   [context, function](const HttpRequest& request, const PathArguments&) {
                       return answer(function(context, request));
                   });
    };
    const auto with_id = [&](const char* method, const char* pattern, auto function) {
        router.add(method, pattern,
                   [context, function](const HttpRequest& request, const PathArguments& path) {
                       return answer(function(context, request, path.at(0)));
                   });
    };
    plain("GET", "/v1/hardware", list_hardware);
    plain("GET", "/v1/clusters/availability-zones", list_zones);
    plain("GET", "/v1/endpoints", list);
    plain("POST", "/v1/endpoints", create);
    with_id("GET", "/v1/endpoints/{}", get);
    with_id("PATCH", "/v1/endpoints/{}", patch);
    with_id("DELETE", "/v1/endpoints/{}", remove);
}

}  // namespace turnpike::controlplane
