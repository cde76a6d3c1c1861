#include "controlplane/serve/audit_routes.h"

#include <utility>

#include "controlplane/serve/billing_routes.h"
#include "controlplane/serve/body.h"
#include "controlplane/store/audit.h"

namespace turnpike::controlplane {
namespace {

using net::HttpRequest;
using nlohmann::json;

constexpr std::int64_t kDefaultLimit = 100;
constexpr std::int64_t kMaxLimit = 1000;

net::HttpResponse answer(const Result<json>& result) {
    return result ? json_response(200, dump(*result)) : error_response(result.error());
}

json to_json(const AuditRow& row) {
    return {{"id", row.id},         {"at", format_rfc3339(row.at)}, {"actor", row.actor},
            {"action", row.action}, {"subject", row.subject},       {"detail", row.detail},
            {"hash", row.hash}};
}

Result<AuditFilter> read_filter(const HttpRequest& request) {
    AuditFilter filter;
    const std::string since = request.query("since");
    if (!since.empty()) {
        const auto moment = parse_utc(since, "since");
        RETURN_IF_ERROR(moment);
        filter.since = *moment;
    }
    const auto before = integer_of_query(request, "before");
    RETURN_IF_ERROR(before);
    if (*before > 0) filter.before = *before;
    const auto limit = integer_of_query(request, "limit");
    RETURN_IF_ERROR(limit);
    if (*limit > kMaxLimit) {
        return invalid_argument("expected a limit from 1 to " + std::to_string(kMaxLimit) +
                                    ", found " + std::to_string(*limit),
                                "limit");
    }
    filter.limit = *limit == 0 ? kDefaultLimit : *limit;
    return filter;
}

Result<json> list_route(const Store& store, const HttpRequest& request) {
    const auto filter = read_filter(request);
    RETURN_IF_ERROR(filter);
    const auto rows = list_audit(store, *filter);
    RETURN_IF_ERROR(rows);
    json data = json::array();
    for (const AuditRow& row : *rows) data.push_back(to_json(row));
    const bool has_more = static_cast<std::int64_t>(rows->size()) == filter->limit;
    return json{{"data", std::move(data)},
                {"next_before", has_more ? json(rows->back().id) : json(nullptr)}};
}

Result<json> verify_route(const Store& store) {
    const auto report = verify_audit(store);
    RETURN_IF_ERROR(report);
    return json{{"rows", report->num_rows},
                {"cut", report->num_cut},
                {"head", report->head},
                {"whole", !report->fault},
                {"fault", report->fault ? json(*report->fault) : json(nullptr)}};
}

}  // namespace

void add_audit_routes(Router& admin, const Store& store) {
    admin.add("GET", "/admin/v1/audit", [&](const HttpRequest& request, const PathArguments&) {
        return answer(list_route(store, request));
    });
    admin.add("GET", "/admin/v1/audit/verify", [&](const HttpRequest&, const PathArguments&) {
        return answer(verify_route(store));
    });
}

}  // namespace turnpike::controlplane
