#include "gateway/edge/exchange.h"

#include <algorithm>
#include <utility>

#include "config/crypto/identifiers.h"
#include "engine/api/api_error.h"
#include "engine/api/meter_line.h"
#include "engine/api/protocol.h"
#include "gateway/edge/cold_wait.h"
#include "gateway/edge/response_text.h"
#include "gateway/edge/upstream_body.h"

namespace turnpike::gateway {

using controlplane::ReplicaRow;

namespace {

constexpr int kMaxAttempts = 2;
constexpr std::size_t kMaxRefusalBytes = 1024 * 1024;
// What a client may send ahead while its reply is relayed.
constexpr std::size_t kMaxPipelinedBytes = 64 * 1024;

const Error kNoReplica{ErrorCode::kUnavailable, "no replica of this model is ready: try again", {}};
const Error kUnreachable{
    ErrorCode::kBadGateway, "the replica of this model cannot be reached: try again", {}};
const Error kReplicaLost{
    ErrorCode::kBadGateway, "the replica was lost before its first byte: try again", {}};
const Error kTimedOut{
    ErrorCode::kGatewayTimeout, "the request took longer than this gateway allows", {}};

void append_header(std::string& head, std::string_view name, std::string_view value) {
    head += name;
    head += ": ";
    head += value;
    head += "\r\n";
}

}  // namespace

Exchange::Exchange(ThreadContext& context,
                   Connection& connection,
                   const Admission& admission,
                   RequestId id,
                   ExchangeOptions options,
                   RequestLog& log)
    : context_(context),
      connection_(connection),
      admission_(admission),
      id_(std::move(id)),
      options_(options),
      log_(log),
      deadline_(context.clock.steady_now() + context.times.request) {}

std::string_view Exchange::body() const {
    // The input may have moved in memory since the last look.
    if (!options_.decoded_body.empty()) return options_.decoded_body;
    return connection_.input().view().substr(0, options_.num_input_bytes);
}

const ReplicaRow* Exchange::choose() {
    RoutingHint hint;
    hint.random = context_.random();
    hint.prefix = prefix_;
    hint.excluded = excluded_ ? &*excluded_ : nullptr;
    hint.now = context_.clock.steady_now();
    return choose_replica(admission_.endpoint->replicas, context_.in_flight, context_.outliers,
                          hint);
}

// What it may take: most answers end long before their limit.
TokenCount Exchange::num_tokens() const {
    constexpr TokenCount kUsualAnswer = 2048;
    const TokenCount answer = std::min(admission_.max_tokens, kUsualAnswer);
    return estimate_tokens(body().size()) + answer * admission_.num_choices;
}

Task<bool> Exchange::run() {
    Error last_error = kNoReplica;
    if (admission_.endpoint->replicas.size() > 1)
        prefix_ = hash_prefix(admission_.organisation->cache_salt, body());
    for (int number = 1; number <= kMaxAttempts; ++number) {
        const ReplicaRow* replica = choose();
        if (replica == nullptr) break;
        log_.replica = replica->id.value();
        connection_.set_deadline(deadline_);
        const InFlight::Token token = context_.in_flight.begin(replica->id, num_tokens());
        context_.outliers.begin(replica->id, context_.clock.steady_now());
        auto upstream =
            co_await UpstreamCall::connect(context_, connection_, replica->address, may_reuse_);
        if (upstream == nullptr) {
            context_.outliers.note_failure(replica->id, context_.clock.steady_now());
            excluded_ = replica->id;
            last_error = kUnreachable;
            continue;
        }
        Attempt outcome = co_await attempt(*replica, std::move(upstream), number == kMaxAttempts);
        if (!outcome.retry) co_return outcome.keeps_alive;
        last_error = std::move(*outcome.retry);
        // What was dispatched has its own books, so another try is another request.
        id_ = crypto::new_request_id(context_.clock.wall_now());
        log_.request_id = id_.value();
        log_.outcome.reset();
    }
    co_return co_await refuse(last_error);
}

std::string Exchange::head_for(const ReplicaRow& replica) const {
    const auto left = deadline_ - context_.clock.steady_now();
    const auto left_ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
    std::string head;
    head.reserve(512);
    head += "POST ";
    head += path_of(admission_.route);
    head += " HTTP/1.1\r\nhost: engine\r\ncontent-type: application/json\r\n";
    append_header(head, "content-length", std::to_string(body().size()));
    append_header(head, engine::kRequestIdHeader, id_.value());
    append_header(head, engine::kMeterHeader, "1");
    append_header(head, engine::kEpochHeader, std::to_string(replica.epoch.value()));
    append_header(head, engine::kReplicaHeader, replica.id.value());
    append_header(head, kProtocolHeader, std::to_string(engine::kProtocol));
    append_header(head, engine::kCacheSaltHeader, admission_.organisation->cache_salt);
    append_header(head, engine::kPriorityHeader, "0");
    append_header(head, engine::kDeadlineHeader,
                  std::to_string(std::max<std::int64_t>(left_ms, 1)));
    head += "\r\n";
    return head;
}

Task<Exchange::Attempt> Exchange::attempt(const ReplicaRow& replica,
                                          std::unique_ptr<Upstream> upstream,
                                          bool is_last) {
    UsageEntry usage(context_, connection_, *options_.limits, *options_.credit, log_);
    Attempt outcome;
    if (const Status status = usage.open(id_, admission_, replica); !status) {
        outcome.keeps_alive = co_await refuse(status.error());
        co_return outcome;
    }
    UpstreamCall call(context_, connection_, std::move(upstream),
                      options_.num_input_bytes + kMaxPipelinedBytes);
    const std::string head = head_for(replica);
    Event event = co_await call.send(head, body());
    // An engine that refuses early closes its receiving side, so its reply is looked for anyway.
    if (event == Event::kOk || event == Event::kEnded) event = co_await call.read_head();
    if (event == Event::kOk) context_.outliers.note_success(replica.id);
    if (event != Event::kOk) co_return co_await without_head(call, usage, event, is_last);
    if (call.head().status != 200) co_return co_await forward_refusal(call, usage, is_last);
    if (!call.head().is_chunked || !call.head().is_event_stream) {
        co_return co_await without_head(call, usage, Event::kEnded, /*is_last=*/true);
    }
    RelayOptions options;
    options.request_id = id_.value();
    options.is_stream = admission_.is_stream;
    options.wants_cost = admission_.wants_cost;
    options.is_head_sent = options_.is_head_sent;
    options.is_http10 = options_.is_http10;
    options.keeps_alive = options_.keeps_alive;
    options.limits = options_.limits;
    options.credit = options_.credit;
    options.model = admission_.model->served_model;
    options.is_chat = admission_.route == Route::kChatCompletions;
    Relay relay(context_, connection_, call, usage, log_, options);
    outcome.keeps_alive = co_await relay.run();
    co_return outcome;
}

Task<Exchange::Attempt> Exchange::without_head(UpstreamCall& call,
                                               UsageEntry& usage,
                                               Event event,
                                               bool is_last) {
    Attempt outcome;
    Settlement settlement;
    settlement.needs_meter = true;
    if (event != Event::kEnded) {
        const bool is_gone = event == Event::kClientGone;
        settlement.outcome =
            is_gone ? controlplane::Outcome::kClientGone : controlplane::Outcome::kReplicaFailed;
        log_.status = is_gone ? 499 : 504;
        call.cancel();
        co_await usage.close(settlement, log_.status);
        connection_.set_deadline(context_.clock.steady_now() + context_.times.client_stall);
        if (!is_gone) co_await refuse(kTimedOut);
        co_return outcome;
    }
    settlement.outcome = controlplane::Outcome::kReplicaFailed;
    co_await usage.close(settlement, 502);
    // A connection that was idle may have been closed under the request.
    const bool may_be_stale = call.is_reused() && call.is_untouched();
    if (!may_be_stale)
        context_.outliers.note_failure(ReplicaId(log_.replica), context_.clock.steady_now());
    if (may_be_stale && !is_last) {
        may_reuse_ = false;
        outcome.retry = kReplicaLost;
    } else {
        outcome.keeps_alive = co_await refuse(kReplicaLost);
    }
    co_return outcome;
}

Task<Exchange::Attempt> Exchange::forward_refusal(UpstreamCall& call,
                                                  UsageEntry& usage,
                                                  bool is_last) {
    Attempt outcome;
    const int status = call.head().status;
    std::optional<std::string> text = co_await read_body(call, kMaxRefusalBytes);
    if (!text || status < 400) {
        co_return co_await without_head(call, usage, Event::kEnded, /*is_last=*/true);
    }
    call.give_back();
    // 409: the replica was restarted under another epoch than our snapshot has; to the client that
    // is a replica that is not ready.
    const bool is_stale_epoch = status == 409;
    co_await usage.refuse(is_stale_epoch ? 503 : status);
    excluded_ = ReplicaId(log_.replica);
    const bool may_go_elsewhere = (is_stale_epoch || status == 503) && !is_last;
    if (may_go_elsewhere && choose() != nullptr) {
        outcome.retry = kNoReplica;
    } else if (is_stale_epoch) {
        outcome.keeps_alive = co_await refuse(kNoReplica);
    } else {
        outcome.keeps_alive = co_await answer(status, *text);
    }
    co_return outcome;
}

Task<bool> Exchange::answer(int http_status, std::string_view body) {
    if (options_.is_head_sent) {
        log_.status = 200;
        std::string end = write_stream_end(body);
        co_await connection_.write(end, context_.times.client_stall);
        co_return false;
    }
    log_.status = http_status;
    ResponseHead head;
    head.status = http_status;
    head.content_length = body.size();
    head.extra_lines = options_.limits->lines();
    head.request_id = id_.value();
    head.date = context_.http_date;
    head.keeps_alive = options_.keeps_alive && !context_.is_draining;
    std::string out;
    append_head(out, head);
    out += body;
    const auto outcome = co_await connection_.write(out, context_.times.client_stall);
    co_return outcome == Connection::Outcome::kOk&& head.keeps_alive;
}

Task<bool> Exchange::refuse(const Error& error) {
    const std::string body = engine::write_error(id_.value(), error);
    co_return co_await answer(engine::http_status(error.code), body);
}

}  // namespace turnpike::gateway
