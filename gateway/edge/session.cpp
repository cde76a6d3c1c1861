#include "gateway/edge/session.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "config/base/limits.h"
#include "config/crypto/identifiers.h"
#include "engine/api/api_error.h"
#include "gateway/edge/chunk_reader.h"
#include "gateway/edge/cold_wait.h"
#include "gateway/edge/controlplane_query.h"
#include "gateway/edge/exchange.h"
#include "gateway/edge/lease_wait.h"
#include "gateway/edge/limit_guard.h"
#include "gateway/edge/request_head.h"
#include "gateway/edge/response_text.h"

namespace turnpike::gateway {
namespace {

using Outcome = Connection::Outcome;

// The body of a refused request is read and dropped up to this size, to keep the connection.
constexpr std::size_t kMaxDroppedBytes = 64 * 1024;
// What a client may send ahead while it waits for a replica.
constexpr std::size_t kMaxPipelinedBytes = 64 * 1024;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

Error too_large() {
    return Error{ErrorCode::kTooLarge,
                 "expected a body of at most " + std::to_string(limits::kMaxBodyBytes) + " bytes",
                 {}};
}

Error no_share() {
    return Error{
        ErrorCode::kUnavailable, "this gateway has no part of the rate limits yet: try again", {}};
}

}  // namespace

Session::Session(ThreadContext& context, ClientStream stream)
    : context_(context), connection_(context.clock, std::move(stream)) {}

void Session::start(std::function<void()> on_done) {
    connection_.run(run(), std::move(on_done));
}

Task<> Session::run() {
    try {
        co_await serve();
    } catch (const std::exception& problem) {
        // Out of memory, for one: this connection ends, the others do not.
        context_.log.error("session_failed", {{"reason", problem.what()}});
    }
}

Task<> Session::serve() {
    connection_.set_deadline(context_.clock.steady_now() + context_.times.handshake);
    if (co_await connection_.handshake() != Outcome::kOk) co_return;
    for (;;) {
        const bool may_go_on = co_await serve_one();
        if (!may_go_on) break;
    }
    if (must_close_) {
        co_await connection_.linger();
    } else {
        connection_.shut_down();
    }
}

Task<bool> Session::serve_one() {
    IncomingRequest request;
    if (co_await read_head(request) == HeadOutcome::kClose) co_return false;
    log_.request_id = request.id.value();
    bool has_client = true;
    const bool is_small = !request.is_chunked && request.content_length <= kMaxDroppedBytes;
    if (must_close_) {
        // The head itself was refused: there is no body to find.
    } else if (!request.refusal || is_small) {
        has_client = co_await read_body(request);
    } else {
        must_close_ = true;
    }
    bool keeps_alive = false;
    if (has_client) {
        if (must_close_) request.keeps_alive = false;
        keeps_alive = co_await respond(request);
        const SteadyTime now = context_.clock.steady_now();
        log_.write(context_.log, now);
        context_.metrics.note(log_, now);
    }
    connection_.input().consume(std::exchange(num_input_bytes_, 0));
    connection_.input().shrink();
    decoded_body_ = std::string();
    log_ = RequestLog();
    co_return keeps_alive && !must_close_ && !context_.is_draining;
}

void Session::give_up(IncomingRequest& request, Error error) {
    request.refusal = std::move(error);
    must_close_ = true;
}

// True when a whole head was there.
bool Session::take_head(IncomingRequest& request) {
    ByteBuffer& input = connection_.input();
    // RFC 9112, section 2.2: empty lines ahead of a request are ignored.
    while (input.view().starts_with("\r\n")) input.consume(2);
    const std::string_view bytes = input.view().substr(0, limits::kMaxHeadBytes);
    const std::size_t end = bytes.find("\r\n\r\n");
    if (end == std::string_view::npos) {
        if (bytes.size() < limits::kMaxHeadBytes) return false;
        request.id = crypto::new_request_id(context_.clock.wall_now());
        give_up(request, Error{ErrorCode::kHeaderTooLarge, "the request head is too large", {}});
        return true;
    }
    RequestId id = crypto::new_request_id(context_.clock.wall_now());
    const auto head = parse_request_head(bytes.substr(0, end + 4));
    if (head) {
        request = admit_head(*head, std::move(id), context_);
        if (find_route(head->path)) log_.route = to_string(request.route);
        if (request.key != nullptr) {
            log_.org = request.key->org.value();
            log_.key = request.key->id.value();
        }
    } else {
        request.id = std::move(id);
        give_up(request, head.error());
    }
    input.consume(end + 4);
    return true;
}

Task<Session::HeadOutcome> Session::read_head(IncomingRequest& request) {
    bool has_begun = false;
    connection_.set_deadline(context_.clock.steady_now() + context_.times.idle);
    for (;;) {
        if (!connection_.input().empty() && !std::exchange(has_begun, true)) {
            log_.began = context_.clock.steady_now();
            connection_.set_deadline(log_.began + context_.times.head);
        }
        if (take_head(request)) co_return HeadOutcome::kRequest;
        const bool is_idle = connection_.input().empty();
        const Outcome outcome = co_await connection_.read_more(0, is_idle);
        if (outcome == Outcome::kOk) continue;
        if (outcome != Outcome::kDeadline || is_idle) co_return HeadOutcome::kClose;
        request.id = crypto::new_request_id(context_.clock.wall_now());
        give_up(request, Error{ErrorCode::kTimeout, "the request head did not arrive in time", {}});
        co_return HeadOutcome::kRequest;
    }
}

Task<bool> Session::read_body(IncomingRequest& request) {
    connection_.set_deadline(context_.clock.steady_now() + context_.times.body);
    const bool has_body = request.is_chunked || request.content_length > 0;
    if (has_body && request.expects_continue && connection_.input().empty() && !request.refusal) {
        const Outcome outcome = co_await connection_.write(kContinue, context_.times.client_stall);
        if (outcome != Outcome::kOk) co_return false;
    }
    if (request.is_chunked) co_return co_await read_chunked_body(request);
    co_return co_await read_sized_body(request);
}

// False when the client has gone.
bool Session::note_body_end(Outcome outcome, IncomingRequest& request) {
    if (outcome != Outcome::kDeadline) return false;
    give_up(request, Error{ErrorCode::kTimeout, "the request body did not arrive in time", {}});
    return true;
}

Task<bool> Session::read_sized_body(IncomingRequest& request) {
    const std::size_t length = request.content_length;
    while (connection_.input().size() < length) {
        const std::size_t missing = length - connection_.input().size();
        const Outcome outcome = co_await connection_.read_more(missing, false);
        if (outcome != Outcome::kOk) co_return note_body_end(outcome, request);
    }
    num_input_bytes_ = length;
    co_return true;
}

Task<bool> Session::read_chunked_body(IncomingRequest& request) {
    ByteBuffer& input = connection_.input();
    for (;;) {
        const std::size_t room = limits::kMaxBodyBytes - decoded_body_.size();
        const ChunkView chunk = next_chunk(input.view(), room);
        switch (chunk.kind) {
            case ChunkView::Kind::kData:
                decoded_body_ += chunk.payload;
                break;
            case ChunkView::Kind::kEnd:
                input.consume(chunk.framed.size());
                co_return true;
            case ChunkView::Kind::kTooBig:
                give_up(request, too_large());
                co_return true;
            case ChunkView::Kind::kBad:
                give_up(request, invalid_argument("the request body is not in chunked coding"));
                co_return true;
            case ChunkView::Kind::kNeedMore: {
                const Outcome outcome = co_await connection_.read_more(chunk.missing_bytes, false);
                if (outcome != Outcome::kOk) co_return note_body_end(outcome, request);
                continue;
            }
        }
        input.consume(chunk.framed.size());
    }
}

std::string_view Session::body_of(const IncomingRequest& request) {
    return request.is_chunked ? std::string_view(decoded_body_)
                              : connection_.input().view().substr(0, num_input_bytes_);
}

Task<bool> Session::respond(const IncomingRequest& request) {
    connection_.set_deadline(context_.clock.steady_now() + context_.times.client_stall);
    if (request.refusal) {
        const std::string lines = request.refusal_lines + limit_lines(request);
        co_return co_await refuse(request, *request.refusal, lines);
    }
    switch (request.route) {
        case Route::kChatCompletions:
        case Route::kCompletions:
            co_return co_await respond_completion(request);
        case Route::kModels: {
            const std::string body = list_models(request, context_.clock.wall_now());
            const std::string lines = limit_lines(request);
            co_return co_await answer(request, 200, body, lines);
        }
        case Route::kGeneration:
        case Route::kWhoAmI:
        case Route::kUsage:
        case Route::kCosts:
        case Route::kBilling:
        case Route::kEndpoints:
        case Route::kEndpoint:
        case Route::kHardware:
        case Route::kZones:
            co_return co_await respond_query(request);
        case Route::kHealth:
            co_return co_await answer(request, 200, R"({"status":"ok"})", "");
        case Route::kReady:
            break;
    }
    const bool is_ready = request.directory != nullptr && request.directory->has_route() &&
                          !context_.is_draining && context_.leases.share().ppm > 0 &&
                          !context_.directory.is_stale(context_.clock.wall_now());
    const std::string_view body = is_ready ? R"({"status":"ready"})" : R"({"status":"not ready"})";
    co_return co_await answer(request, is_ready ? 200 : 503, body, "");
}

// Of an answer that consumes nothing; a stranger is told of no limits.
std::string Session::limit_lines(const IncomingRequest& request) {
    if (request.key == nullptr) return {};
    return limit_lines_of(context_, *request.directory, *request.key);
}

Task<bool> Session::respond_completion(const IncomingRequest& request) {
    const std::string_view body = body_of(request);
    auto admission = admit_body(request, body);
    if (!admission) {
        const std::string lines = limit_lines(request);
        co_return co_await refuse(request, admission.error(), lines);
    }
    log_.model = admission->model->name;
    const bool has_share = co_await wait_for_share(context_, connection_);
    connection_.set_deadline(context_.clock.steady_now() + context_.times.client_stall);
    if (!has_share) {
        const std::string lines = limit_lines(request);
        co_return co_await refuse(request, no_share(), lines);
    }
    LimitGuard limits(context_, *admission, body.size());
    if (limits.refusal()) co_return co_await refuse(request, *limits.refusal(), limits.lines());
    CreditGuard credit(context_, connection_, *admission, body.size());
    if (const std::optional<Error> refusal = co_await credit.begin()) {
        connection_.set_deadline(context_.clock.steady_now() + context_.times.client_stall);
        co_return co_await refuse(request, *refusal, limits.lines());
    }
    const bool is_cold = admission->endpoint->replicas.empty();
    LoadBoard::Ticket ticket = context_.load.enter(admission->endpoint->id, is_cold);
    ExchangeOptions options;
    if (is_cold) {
        ColdWait wait(context_, connection_, *admission, stream_head(request, limits.lines()),
                      admission->is_stream && !request.is_http10,
                      num_input_bytes_ + kMaxPipelinedBytes);
        const std::optional<Error> refusal = co_await wait.run();
        connection_.set_deadline(context_.clock.steady_now() + context_.times.client_stall);
        if (wait.is_client_gone()) {
            log_.status = 499;
            co_return false;
        }
        options.is_head_sent = wait.is_head_sent();
        if (refusal) {
            const bool was_sent = wait.is_head_sent();
            co_return co_await refuse_cold(request, *refusal, limits.lines(), was_sent);
        }
        ticket.begin();
    }
    options.limits = &limits;
    options.credit = &credit;
    options.keeps_alive = request.keeps_alive;
    options.is_http10 = request.is_http10;
    options.decoded_body = decoded_body_;
    options.num_input_bytes = num_input_bytes_;
    Exchange exchange(context_, connection_, *admission, request.id, options, log_);
    co_return co_await exchange.run();
}

ResponseHead Session::stream_head(const IncomingRequest& request,
                                  std::string_view extra_lines) const {
    ResponseHead head;
    head.content_type = kEventStream;
    head.extra_lines = extra_lines;
    head.request_id = request.id.value();
    head.date = context_.http_date;
    head.keeps_alive = request.keeps_alive && !must_close_ && !context_.is_draining;
    return head;
}

// No replica came for a request that waited for one.
Task<bool> Session::refuse_cold(const IncomingRequest& request,
                                const Error& error,
                                std::string_view extra_lines,
                                bool is_head_sent) {
    if (!is_head_sent) co_return co_await refuse(request, error, extra_lines);
    log_.status = 200;
    const std::string body = engine::write_error(request.id.value(), error);
    const std::string end = write_stream_end(body);
    co_await connection_.write(end, context_.times.client_stall);
    co_return false;
}

Task<bool> Session::respond_query(const IncomingRequest& request) {
    // Its own: what the client sends meanwhile may move the input.
    const std::string body(body_of(request));
    const QueryAnswer found = co_await ask_controlplane(context_, connection_, request, body);
    if (found.status == 0) co_return false;
    connection_.set_deadline(context_.clock.steady_now() + context_.times.client_stall);
    const std::string lines = limit_lines(request);
    co_return co_await answer(request, found.status, found.body, lines);
}

Task<bool> Session::answer(const IncomingRequest& request,
                           int http_status,
                           std::string_view body,
                           std::string_view extra_lines) {
    log_.status = http_status;
    ResponseHead head;
    head.status = http_status;
    head.content_length = body.size();
    head.extra_lines = extra_lines;
    head.request_id = request.id.value();
    head.date = context_.http_date;
    head.keeps_alive = request.keeps_alive && !must_close_ && !context_.is_draining;
    std::string out;
    append_head(out, head);
    out += body;
    const Outcome outcome = co_await connection_.write(out, context_.times.client_stall);
    co_return outcome == Outcome::kOk&& head.keeps_alive;
}

Task<bool> Session::refuse(const IncomingRequest& request,
                           const Error& error,
                           std::string_view extra_lines) {
    const std::string body = engine::write_error(request.id.value(), error);
    co_return co_await answer(request, engine::http_status(error.code), body, extra_lines);
}

}  // namespace turnpike::gateway
