// Routes of the internal socket; see ops/docs/formats/{snapshot,usage,load}.md.
#include "controlplane/serve/internal_routes.h"

#include <charconv>
#include <utility>

#include "config/base/limits.h"
#include "controlplane/serve/body.h"

namespace turnpike::controlplane {
namespace {

Result<std::int64_t> parse_revision(const std::string& text) {
    std::int64_t revision = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, revision);
    if (!text.empty() && (error != std::errc() || rest != end || revision < 0)) {
        return invalid_argument("expected a revision, found '" + text + "'", "after");
    }
    return revision;
}

// What is wrong with a batch is the sender's to know, not a missing route or a fault of ours.
Error as_refusal(Error error) {
    if (error.code == ErrorCode::kCorrupt) error.code = ErrorCode::kInvalidArgument;
    if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kConflict;
    return error;
}

net::HttpResponse usage_response(const Result<IngestResult>& result) {
    if (!result) return error_response(as_refusal(result.error()));
    return json_response(200, dump({{"new", result->num_new},
                                    {"repeated", result->num_repeated},
                                    {"quarantined", result->num_quarantined}}));
}

void ingest(Store& store,
            const net::HttpRequest& request,
            const std::shared_ptr<net::HttpReply>& reply) {
    auto batch = parse_usage_batch(request.body);
    if (batch && batch->records.size() > limits::kMaxUsageBatch) {
        batch = Error{ErrorCode::kTooLarge,
                      "expected at most " + std::to_string(limits::kMaxUsageBatch) +
                          " records, found " + std::to_string(batch->records.size()),
                      "records"};
    }
    if (!batch) {
        reply->respond(error_response(as_refusal(batch.error())));
        return;
    }
    store.ingest(std::move(*batch), [reply](const Result<IngestResult>& result) {
        reply->respond(usage_response(result));
    });
}

}  // namespace

void add_internal_routes(Router& router,
                         Store& store,
                         SnapshotPoller& poller,
                         LoadReports& loads,
                         const Clock& clock,
                         std::function<void()> on_waiting) {
    router.add_deferred("GET", "/internal/v1/snapshot",
                        [&poller](const net::HttpRequest& request, const PathArguments&,
                                  const std::shared_ptr<net::HttpReply>& reply) {
                            const auto after = parse_revision(request.query("after"));
                            if (!after) {
                                reply->respond(error_response(after.error()));
                                return;
                            }
                            poller.poll(request.query("store"), *after, reply);
                        });
    router.add_deferred(
        "POST", "/internal/v1/usage",
        [&store](const net::HttpRequest& request, const PathArguments&,
                 const std::shared_ptr<net::HttpReply>& reply) { ingest(store, request, reply); });
    router.add("POST", "/internal/v1/load",
               [&loads, &clock, on_waiting = std::move(on_waiting)](const net::HttpRequest& request,
                                                                    const PathArguments&) {
                   const Result<bool> has_queued = loads.accept(request.body, clock.wall_now());
                   if (!has_queued) return error_response(has_queued.error());
                   if (*has_queued) on_waiting();
                   return json_response(200, "{}");
               });
}

}  // namespace turnpike::controlplane
