#include "controlplane/serve/lease_routes.h"

#include "controlplane/api/lease.h"

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

}  // namespace

void add_lease_routes(Router& internal, Store& store, const LeaseTerms& terms, const Clock& clock) {
    internal.add("POST", "/internal/v1/leases",
                 [&store, terms, &clock](const net::HttpRequest& request, const PathArguments&) {
                     return lease_response(store, request, terms, clock.wall_now());
                 });
}

}  // namespace turnpike::controlplane
