#include "controlplane/serve/lease_routes.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "controlplane/api/lease.h"
#include "controlplane/api/limits.h"
#include "controlplane/store/organisations.h"

namespace turnpike::controlplane {

using nlohmann::json;

namespace {

// What is wrong with a body is the sender's to know, not a fault of ours.
Error as_refusal(Error error) {
    if (error.code == ErrorCode::kCorrupt) error.code = ErrorCode::kInvalidArgument;
    return error;
}

net::HttpResponse lease_response(Store& store,
                                 const net::HttpRequest& request,
                                 const LeaseTerms& terms,
                                 WallTime now) {
    const auto asked = parse_lease_request(request.body);
    if (!asked) return error_response(as_refusal(asked.error()));
    const auto answer = grant_leases(store, *asked, terms, now);
    if (!answer) return error_response(answer.error());
    return json_response(200, write_lease_answer(*answer));
}

// An organisation may be named instead of identified.
Result<std::string> resolve_subject(const Store& store, const std::string& subject) {
    constexpr std::string_view kOrganisation = "organisation:";
    if (!subject.starts_with(kOrganisation)) return subject;
    const auto org = find_organisation(store, subject.substr(kOrganisation.size()));
    RETURN_IF_ERROR(org);
    return limits_subject(org->id);
}

json row_json(const LimitsRow& row) {
    json object = json::parse(write_limits(row.limits));
    object["subject"] = row.subject;
    return object;
}

net::HttpResponse limits_response(const Store& store, const std::string& subject) {
    const Status exists = check_limits_subject(store, subject);
    if (!exists) return error_response(exists.error());
    const auto limits = find_limits(store, subject);
    if (!limits) return error_response(limits.error());
    return json_response(200, row_json({subject, *limits}).dump());
}

net::HttpResponse all_limits_response(const Store& store) {
    const auto rows = list_limits(store);
    if (!rows) return error_response(rows.error());
    json data = json::array();
    for (const LimitsRow& row : *rows) data.push_back(row_json(row));
    return json_response(200, json{{"data", std::move(data)}}.dump());
}

net::HttpResponse get_response(const Store& store, const net::HttpRequest& request) {
    const std::string asked = request.query("subject");
    if (asked.empty()) return all_limits_response(store);
    const auto subject = resolve_subject(store, asked);
    if (!subject) return error_response(subject.error());
    return limits_response(store, *subject);
}

net::HttpResponse set_response(Store& store, const net::HttpRequest& request, WallTime now) {
    const auto limits = parse_limits(request.body);
    if (!limits) return error_response(as_refusal(limits.error()));
    const auto subject = resolve_subject(store, request.query("subject"));
    if (!subject) return error_response(subject.error());
    const LimitsRow row{*subject, *limits};
    const Status status = set_limits(store, row, now);
    if (!status) return error_response(status.error());
    return limits_response(store, row.subject);
}

}  // namespace

void add_lease_routes(Router& internal, Store& store, const LeaseTerms& terms, const Clock& clock) {
    internal.add("POST", "/internal/v1/leases",
                 [&store, terms, &clock](const net::HttpRequest& request, const PathArguments&) {
                     return lease_response(store, request, terms, clock.wall_now());
                 });
}

void add_limit_routes(Router& admin, Store& store, const Clock& clock) {
    admin.add("GET", "/admin/v1/limits",
              [&store](const net::HttpRequest& request, const PathArguments&) {
                  return get_response(store, request);
              });
    admin.add("PUT", "/admin/v1/limits",
              [&store, &clock](const net::HttpRequest& request, const PathArguments&) {
                  return set_response(store, request, clock.wall_now());
              });
}

}  // namespace turnpike::controlplane
