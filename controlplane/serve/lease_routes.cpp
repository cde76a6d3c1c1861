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
                                 LeaseMetrics& metrics,
                                 WallTime now) {
    const auto asked = parse_lease_request(request.body);
    const auto answer = asked ? grant_leases(store, *asked, terms, now)
                              : Result<LeaseAnswer>(as_refusal(asked.error()));
    if (!answer) {
        metrics.refused.add();
        return error_response(answer.error());
    }
    for (const LeaseGrant& grant : answer->grants)
        (grant.is_short ? metrics.cut : metrics.granted).add();
    return json_response(200, write_lease_answer(*answer));
}

}  // namespace

void add_lease_routes(Router& internal,
                      Store& store,
                      const LeaseTerms& terms,
                      LeaseMetrics& metrics,
                      const Clock& clock) {
    internal.add(
        "POST", "/internal/v1/leases",
        [&store, terms, &metrics, &clock](const net::HttpRequest& request, const PathArguments&) {
            return lease_response(store, request, terms, metrics, clock.wall_now());
        });
}

}  // namespace turnpike::controlplane
