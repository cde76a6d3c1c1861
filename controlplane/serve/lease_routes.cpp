#include "controlplane/serve/lease_routes.h"

#include "controlplane/api/lease.h"
#include "controlplane/api/limits.h"

namespace turnpike::controlplane {
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

net::HttpResponse limits_response(const Store& store, const std::string& subject) {
    const auto limits = find_limits(store, subject);
    if (!limits) return error_response(limits.error());
    return json_response(200, write_limits(*limits));
}

net::HttpResponse set_response(Store& store, const net::HttpRequest& request, WallTime now) {
    const auto limits = parse_limits(request.body);
    if (!limits) return error_response(as_refusal(limits.error()));
    const LimitsRow row{request.query("subject"), *limits};
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
                  return limits_response(store, request.query("subject"));
              });
    admin.add("PUT", "/admin/v1/limits",
              [&store, &clock](const net::HttpRequest& request, const PathArguments&) {
                  return set_response(store, request, clock.wall_now());
              });
}

}  // namespace turnpike::controlplane
