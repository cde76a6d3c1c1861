#include "gateway/edge/controlplane_query.h"

#include <optional>
#include <utility>

#include "controlplane/api/caller.h"
#include "controlplane/api/protocol.h"
#include "engine/api/api_error.h"
#include "gateway/edge/upstream_body.h"
#include "gateway/edge/upstream_call.h"

namespace turnpike::gateway {
namespace {

using Event = UpstreamCall::Event;

// A day by the minute, grouped by key and model.
constexpr std::size_t kMaxAnswerBytes = 32 * 1024 * 1024;
constexpr std::size_t kMaxPipelinedBytes = 64 * 1024;
constexpr auto kPatience = std::chrono::seconds(30);

const Error kAway{ErrorCode::kUnavailable, "this cannot be answered now: try again", {}};

// Method, target and field values have passed the check of request heads: printable, and without
// spaces where these would end them.
std::string head_for(const IncomingRequest& request, std::size_t num_body_bytes) {
    std::string head =
        request.method + " " + request.target + " HTTP/1.1\r\nhost: controlplane\r\n";
    head += std::string(controlplane::kCallerOrgHeader) + ": " + request.key->org.value() + "\r\n";
    head += std::string(controlplane::kCallerKeyHeader) + ": " + request.key->id.value() + "\r\n";
    if (!request.idempotency_key.empty())
        head += "idempotency-key: " + request.idempotency_key + "\r\n";
    if (has_body(request.method))
        head +=
            "content-type: application/json\r\ncontent-length: " + std::to_string(num_body_bytes) +
            "\r\n";
    head += std::string(kProtocolHeader) + ": " + std::to_string(controlplane::kProtocol) + "\r\n";
    return head + "\r\n";
}

struct Attempt {
    std::optional<QueryAnswer> answer;
    bool may_be_stale = false;  // a pooled connection that was closed under the request
};

Task<Attempt> attempt(ThreadContext& context,
                      Connection& connection,
                      const std::string& head,
                      std::string_view body,
                      bool may_reuse) {
    Attempt result;
    auto upstream =
        co_await UpstreamCall::connect(context, connection, context.controlplane, may_reuse);
    if (upstream == nullptr) co_return result;
    UpstreamCall call(context, connection, std::move(upstream), kMaxPipelinedBytes);
    Event event = co_await call.send(head, body);
    if (event == Event::kOk) event = co_await call.read_head();
    if (event == Event::kClientGone) result.answer = QueryAnswer();
    result.may_be_stale = call.is_reused() && call.is_untouched();
    if (event != Event::kOk) co_return result;
    std::optional<std::string> answered = co_await read_body(call, kMaxAnswerBytes);
    // Of versions is said in the log, where snapshots are asked for.
    if (!answered || call.head().status == kProtocolStatus) co_return result;
    QueryAnswer answer;
    answer.status = call.head().status;
    answer.body = std::move(*answered);
    call.give_back();
    result.answer = std::move(answer);
    co_return result;
}

}  // namespace

Task<QueryAnswer> ask_controlplane(ThreadContext& context,
                                   Connection& connection,
                                   const IncomingRequest& request,
                                   std::string_view body) {
    connection.set_deadline(context.clock.steady_now() + kPatience);
    const std::string head = head_for(request, body.size());
    // What changes something is not sent twice, so not on a connection that may be closed already.
    const bool may_reuse = request.method == "GET";
    Attempt last = co_await attempt(context, connection, head, body, may_reuse);
    if (!last.answer && last.may_be_stale) {
        last = co_await attempt(context, connection, head, body, /*may_reuse=*/false);
    }
    if (last.answer) co_return std::move(*last.answer);
    QueryAnswer away;
    away.status = engine::http_status(kAway.code);
    away.body = engine::write_error(request.id.value(), kAway);
    co_return away;
}

}  // namespace turnpike::gateway
