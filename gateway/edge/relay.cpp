#include "gateway/edge/relay.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "engine/api/api_error.h"
#include "engine/api/codec.h"

namespace turnpike::gateway {
namespace {

constexpr ErrorCode kErrorCodes[] = {ErrorCode::kInvalidArgument, ErrorCode::kContextLengthExceeded,
                                     ErrorCode::kTooLarge,        ErrorCode::kUnavailable,
                                     ErrorCode::kGatewayTimeout,  ErrorCode::kRateLimited};

MeteredReply::Mode mode_of(const RelayOptions& options) {
    if (!options.is_stream) return MeteredReply::Mode::kUnary;
    return options.is_http10 ? MeteredReply::Mode::kRawStream : MeteredReply::Mode::kStream;
}

// The status for an error that an engine reports after admission: by its `code`, else 500.
int status_of_error(const std::string& body) {
    const auto object = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object()) return 500;
    const auto error = object.find("error");
    if (error == object.end() || !error->is_object()) return 500;
    const auto code = error->find("code");
    if (code == error->end() || !code->is_string()) return 500;
    for (const ErrorCode known : kErrorCodes) {
        if (engine::error_code(known) == code->get_ref<const std::string&>()) {
            return engine::http_status(known);
        }
    }
    return 500;
}

const Error kReplicaFailed{
    ErrorCode::kBadGateway, "the replica failed while it worked on this request", {}};
const Error kTimedOut{
    ErrorCode::kGatewayTimeout, "the request took longer than this gateway allows", {}};
const Error kCreditGone{
    ErrorCode::kPaymentRequired,
    "the credit ran out while this request was answered; what was produced is billed",
    {}};
const Error kNotRecorded{
    ErrorCode::kInternal, "the usage of this request could not be recorded", {}};

}  // namespace

Relay::Relay(ThreadContext& context,
             Connection& connection,
             UpstreamCall& call,
             UsageEntry& usage,
             RequestLog& log,
             RelayOptions options)
    : context_(context),
      connection_(connection),
      call_(call),
      usage_(usage),
      log_(log),
      options_(options),
      reply_(mode_of(options), options.wants_cost ? std::optional(usage.price()) : std::nullopt) {}

Task<bool> Relay::run() {
    connection_.take_was_slow();
    if (options_.is_stream) co_return co_await run_stream();
    co_return co_await run_unary();
}

ResponseHead Relay::head_of(int http_status) const {
    ResponseHead head;
    head.status = http_status;
    head.extra_lines = options_.limits->lines();
    head.request_id = options_.request_id;
    head.date = context_.http_date;
    head.is_http10 = options_.is_http10;
    head.keeps_alive = options_.keeps_alive && !context_.is_draining;
    return head;
}

ReplyFacts Relay::facts() {
    was_client_slow_ = connection_.take_was_slow() || was_client_slow_;
    ReplyFacts facts;
    facts.meter = reply_.meter();
    facts.is_complete = reply_.is_complete();
    facts.has_ended = reply_.has_ended();
    facts.has_error = reply_.has_error();
    facts.was_client_slow = was_client_slow_;
    facts.is_client_gone = is_client_gone_;
    facts.is_cut_off = is_cut_off_;
    facts.is_exhausted = is_exhausted_;
    return facts;
}

Task<bool> Relay::send_out() {
    if (!log_.first_output) log_.first_output = context_.clock.steady_now();
    const auto outcome = co_await connection_.write(out_, context_.times.client_stall);
    out_.clear();
    is_head_sent_ = true;
    co_return outcome == Connection::Outcome::kOk;
}

void Relay::take_input(std::string& out) {
    call_.input().consume(reply_.feed(call_.input().view(), out));
    if (!reply_.meter()) return;
    options_.limits->note_meter(*reply_.meter());
    if (!reply_.is_complete())
        is_exhausted_ = is_exhausted_ || !options_.credit->note_meter(*reply_.meter());
}

Task<bool> Relay::run_stream() {
    is_head_sent_ = options_.is_head_sent;
    ResponseHead head = head_of(200);
    head.content_type = kEventStream;
    if (!is_head_sent_) append_head(out_, head);
    for (;;) {
        take_input(out_);
        if (reply_.is_complete()) co_return co_await finish_stream();
        const bool has_failed = reply_.has_ended() || reply_.is_broken();
        // An error that is all the client would get becomes an error status instead.
        const bool is_plain_error = reply_.is_error_alone() && !is_head_sent_;
        if (reply_.has_output() && !out_.empty() && !is_plain_error) {
            if (!co_await send_out()) co_return co_await abandon(Event::kClientGone);
        }
        if (has_failed) co_return co_await fail();
        if (is_exhausted_) co_return co_await exhaust();
        const Event event = co_await call_.read_more(reply_.missing_bytes());
        if (event == Event::kEnded) co_return co_await fail();
        if (event != Event::kOk) co_return co_await abandon(event);
    }
}

Task<bool> Relay::finish_stream() {
    log_.status = 200;
    bool keeps_alive = options_.keeps_alive && !options_.is_http10;
    const Settlement settlement = settle(facts());
    if (!co_await usage_.close(settlement, 200)) {
        out_.resize(reply_.done_offset());
        append_error_event(kNotRecorded);
        keeps_alive = false;
    }
    if (!options_.is_http10) out_ += kLastChunk;
    if (!co_await send_out()) keeps_alive = false;
    co_await finish_upstream();
    co_return keeps_alive;
}

Task<bool> Relay::run_unary() {
    while (!reply_.has_ended()) {
        take_input(out_);
        if (reply_.has_ended()) break;
        if (reply_.is_broken()) co_return co_await fail();
        if (is_exhausted_) co_return co_await exhaust();
        const Event event = co_await call_.read_more(reply_.missing_bytes());
        if (event == Event::kEnded && reply_.is_complete()) break;
        if (event == Event::kEnded) co_return co_await fail();
        if (event != Event::kOk) co_return co_await abandon(event);
    }
    if (!reply_.is_complete()) co_return co_await fail();
    co_return co_await finish_unary();
}

Task<bool> Relay::finish_unary() {
    const Settlement settlement = settle(facts());
    if (settlement.outcome != controlplane::Outcome::kCompleted) co_return co_await fail();
    if (!co_await usage_.close(settlement, 200)) co_return co_await refuse(kNotRecorded, 500);
    log_.first_output = context_.clock.steady_now();
    const bool is_sent = co_await answer(200, reply_.body(), options_.keeps_alive);
    co_await finish_upstream();
    co_return is_sent;
}

Task<bool> Relay::answer(int http_status, std::string_view body, bool keeps_alive) {
    log_.status = http_status;
    ResponseHead head = head_of(http_status);
    head.keeps_alive = head.keeps_alive && keeps_alive;
    head.content_length = body.size();
    out_.clear();
    out_.reserve(body.size() + 512);
    append_head(out_, head);
    out_ += body;
    const bool is_kept = head.keeps_alive;
    const bool is_sent = co_await send_out();
    co_return is_sent&& is_kept;
}

Task<bool> Relay::refuse(const Error& error, int http_status) {
    const std::string body = engine::write_error(options_.request_id, error);
    co_return co_await answer(http_status, body, options_.keeps_alive);
}

Task<bool> Relay::fail() {
    const bool has_error = reply_.has_error();
    const int status = has_error ? status_of_error(reply_.body()) : 502;
    const int recorded_status = is_head_sent_ ? 200 : status;
    log_.status = recorded_status;
    const Settlement settlement = settle(facts());
    co_await usage_.close(settlement, recorded_status);
    if (!is_head_sent_) {
        if (has_error) co_return co_await answer(status, reply_.body(), options_.keeps_alive);
        co_return co_await refuse(kReplicaFailed, status);
    }
    if (!has_error) append_error_event(kReplicaFailed);
    if (!options_.is_http10) out_ += kLastChunk;
    co_await send_out();
    co_return false;
}

void Relay::append_error_event(const Error& error) {
    append_event(engine::write_error(options_.request_id, error));
}

void Relay::append_event(std::string_view json) {
    std::string event = "data: ";
    event += json;
    event += "\n\n";
    if (options_.is_http10) {
        out_ += event;
    } else {
        append_chunk(out_, event);
    }
}

Task<> Relay::stop_engine(bool keeps_output) {
    call_.cancel();
    for (;;) {
        call_.input().consume(reply_.feed(call_.input().view(), out_));
        if (!keeps_output) out_.clear();
        if (reply_.has_ended() || reply_.is_broken()) break;
        const Event next = co_await call_.read_more(reply_.missing_bytes());
        is_cut_off_ = is_cut_off_ || next == Event::kDeadline;
        if (next != Event::kOk) break;
    }
}

Task<bool> Relay::abandon(Event event) {
    is_client_gone_ = event == Event::kClientGone;
    is_cut_off_ = !is_client_gone_;
    co_await stop_engine(/*keeps_output=*/false);
    const int no_answer = is_head_sent_ ? 200 : 499;  // 499: nobody was there to get a status
    log_.status = is_client_gone_ ? no_answer : 504;
    const Settlement settlement = settle(facts());
    co_await usage_.close(settlement, log_.status);
    if (is_client_gone_) co_return false;
    connection_.set_deadline(context_.clock.steady_now() + context_.times.client_stall);
    if (!is_head_sent_) {
        co_await refuse(kTimedOut, 504);
        co_return false;
    }
    append_error_event(kTimedOut);
    if (!options_.is_http10) out_ += kLastChunk;
    co_await send_out();
    co_return false;
}

Task<bool> Relay::exhaust() {
    const SteadyTime deadline = connection_.deadline();
    co_await stop_engine(/*keeps_output=*/true);
    connection_.set_deadline(deadline);
    const bool is_unary = !options_.is_stream;
    if (reply_.is_complete()) {  // it was quicker than the cancel
        if (is_unary) co_return co_await finish_unary();
        co_return co_await finish_stream();
    }
    const Settlement settlement = settle(facts());
    if (settlement.outcome != controlplane::Outcome::kCompleted) co_return co_await fail();
    log_.status = is_unary ? 402 : 200;
    if (!co_await usage_.close(settlement, log_.status)) {
        if (is_unary) co_return co_await refuse(kNotRecorded, 500);
        append_error_event(kNotRecorded);
    } else {
        if (is_unary) co_return co_await refuse(kCreditGone, log_.status);
        append_length_chunks();
        append_error_event(kCreditGone);
    }
    // Without [DONE]: this is no whole answer.
    if (!options_.is_http10) out_ += kLastChunk;
    co_await send_out();
    co_return false;
}

void Relay::append_length_chunks() {
    engine::Chunk chunk;
    chunk.id = options_.request_id;
    chunk.created_unix_s = to_unix_us(context_.clock.wall_now()) / 1'000'000;
    chunk.model = options_.model;
    chunk.choices.resize(1);
    chunk.choices[0].finish_reason = engine::FinishReason::kLength;
    for (TokenCount index = 0; index < options_.credit->num_choices(); ++index) {
        chunk.choices[0].index = static_cast<std::int32_t>(index);
        append_event(options_.is_chat ? engine::write_chat_chunk(chunk)
                                      : engine::write_completion_chunk(chunk));
    }
}

Task<> Relay::finish_upstream() {
    std::string dropped;
    connection_.set_deadline(context_.clock.steady_now() + context_.times.cancel);
    while (!reply_.has_ended() && !reply_.is_broken()) {
        call_.input().consume(reply_.feed(call_.input().view(), dropped));
        if (reply_.has_ended() || reply_.is_broken()) break;
        if (co_await call_.read_more(reply_.missing_bytes()) != Event::kOk) co_return;
    }
    if (reply_.has_ended() && !reply_.is_broken()) call_.give_back();
}

}  // namespace turnpike::gateway
