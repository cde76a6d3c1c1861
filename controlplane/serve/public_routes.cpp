#include "controlplane/serve/public_routes.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "controlplane/api/caller.h"
#include "controlplane/serve/account_routes.h"
#include "controlplane/serve/body.h"
#include "controlplane/serve/usage_queries.h"
#include "controlplane/store/organisations.h"
#include "controlplane/store/usage.h"

namespace turnpike::controlplane {
namespace {

using net::HttpRequest;
using nlohmann::json;

using Query = Result<std::string> (*)(const Store&, const OrgId&, const HttpRequest&, WallTime);

// The money is written as text by hand: a JSON library would make it a double.
std::string write_generation(const UsageRow& row) {
    const UsageRecord& record = row.record;
    const TokenUsage& usage = record.usage;
    const json data = {{"id", record.request_id.value()},
                       {"model", record.model},
                       {"served_model", record.served_model},
                       {"created_at", format_rfc3339(record.opened_at)},
                       {"finished_at", format_rfc3339(record.closed_at)},
                       {"outcome", to_string(record.outcome)},
                       {"billed", is_billed(record.outcome)},
                       {"api_key_id", record.key.value()},
                       {"price_version", record.price_version},
                       {"tokens_prompt", usage.prompt_tokens},
                       {"tokens_completion", usage.completion_tokens},
                       {"native_tokens_prompt", usage.prompt_tokens},
                       {"native_tokens_completion", usage.completion_tokens},
                       {"native_tokens_reasoning", usage.reasoning_tokens},
                       {"native_tokens_cached", usage.cached_tokens}};
    std::string text = dump(data);
    text.pop_back();
    return "{\"data\":" + text + ",\"total_cost\":" + format_usd(row.cost_nano_usd) + "}}";
}

Result<std::string> generation(const Store& store,
                               const OrgId& org,
                               const HttpRequest& request,
                               WallTime) {
    const std::string id = request.query("id");
    if (id.empty()) return invalid_argument("id is required: that of an answer", "id");
    const auto row = find_usage(store, org, RequestId(id));
    RETURN_IF_ERROR(row);
    return write_generation(*row);
}

Result<std::string> whoami(const Store& store,
                           const OrgId& org,
                           const HttpRequest& request,
                           WallTime) {
    const auto found = find_organisation(store, org.value());
    RETURN_IF_ERROR(found);
    // An organisation is its only project.
    return dump({{"api_key_id", std::string(request.headers.get(kCallerKeyHeader))},
                 {"organization_id", org.value()},
                 {"organization_name", found->name},
                 {"project_id", org.value()},
                 {"project_name", found->name},
                 {"project_slug", found->name}});
}

}  // namespace

CallerOf caller_of_gateway() {
    return [](const HttpRequest& request) -> Result<OrgId> {
        const std::string_view org = request.headers.get(kCallerOrgHeader);
        if (org.empty()) return Error{ErrorCode::kUnauthenticated, "expected a caller", {}};
        return OrgId(std::string(org));
    };
}

CallerOf caller_of_operator(const Store& store) {
    return [&store](const HttpRequest& request) -> Result<OrgId> {
        const auto org = org_of_query(store, request);
        RETURN_IF_ERROR(org);
        if (!*org) return invalid_argument("org is required: whose usage it is", "org");
        return **org;
    };
}

void add_public_routes(Router& router, const Store& store, const Clock& clock, CallerOf caller_of) {
    const auto add = [&](const std::string& path, Query query) {
        router.add(
            "GET", path,
            [&store, &clock, query, caller_of](const HttpRequest& request, const PathArguments&) {
                const auto org = caller_of(request);
                if (!org) return error_response(org.error());
                const auto text = query(store, *org, request, clock.wall_now());
                return text ? json_response(200, *text) : error_response(text.error());
            });
    };
    add("/v1/generation", &generation);
    add("/v1/whoami", &whoami);
    add("/v1/organization/usage/completions", &usage_completions);
    add("/v1/organization/costs", &costs);
    add("/v1/billing/usage", &billing_usage);
}

}  // namespace turnpike::controlplane
