#include "gateway/client/bench/exchange.h"

#include <utility>

namespace turnpike::gateway::client::bench {

using net::IoNeed;

namespace {

constexpr std::size_t kMaxMessageBytes = 300;  // of a failure: enough to tell what is wrong

Exchange::Step step_of(IoNeed need) {
    return need == IoNeed::kWritable ? Exchange::Step::kWaitWritable
                                     : Exchange::Step::kWaitReadable;
}

}  // namespace

Exchange::Exchange(RequestRecord& record, std::string bytes, std::optional<Leave> leave)
    : record_(record),
      bytes_(std::move(bytes)),
      leave_(leave),
      parser_([this](std::string_view body) { return take_body(body); }, /*is_head=*/false),
      events_([this](const net::SseEvent& event) { take_event(event.data); },
              [](std::string_view) {}) {}

void Exchange::restart() {
    is_open_ = false;
    num_sent_ = 0;
    sent_s_.reset();
    record_.phase = Phase::kConnecting;
}

bool Exchange::may_keep_connection() const {
    const bool is_whole =
        record_.outcome == Outcome::kCompleted || record_.failure == FailureKind::kStatus;
    return is_whole && parser_.is_done() && parser_.may_keep_connection();
}

void Exchange::end(Outcome outcome, double now_s) {
    if (std::exchange(is_ended_, true)) return;
    record_.outcome = outcome;
    // A stream that was completed ended with its last choice, whenever the connection said so.
    const bool is_timed_by_choice = outcome == Outcome::kCompleted && record_.first_token_s;
    record_.end_s = is_timed_by_choice ? last_choice_s_ : now_s;
}

void Exchange::leave(double now_s) {
    end(Outcome::kDisconnected, now_s);
}

void Exchange::fail(FailureKind kind, const std::string& message, double now_s) {
    if (is_ended_) return;
    record_.failure = kind;
    record_.message = message.substr(0, kMaxMessageBytes);
    end(Outcome::kFailed, now_s);
}

Exchange::Step Exchange::lost(const Error& error, bool is_kept) {
    if (is_kept && !record_.has_bytes) return Step::kRetry;
    fail(error.code == ErrorCode::kCorrupt ? FailureKind::kMalformed : FailureKind::kCutOff,
         error.message, now_s_);
    return Step::kEnded;
}

Exchange::Step Exchange::advance(net::DialedStream& stream,
                                 std::span<char> buffer,
                                 bool is_kept,
                                 const RunClock& clock) {
    now_s_ = clock.now_s();
    if (!is_open_) {
        const auto need = stream.open();
        if (!need) {
            fail(FailureKind::kConnect, need.error().message, now_s_);
            return Step::kEnded;
        }
        if (*need != IoNeed::kNone) return step_of(*need);
        is_open_ = true;
        record_.phase = Phase::kSending;
    }
    const std::size_t end = num_bytes_to_send();
    while (num_sent_ < end) {
        const auto written =
            stream.write(std::string_view(bytes_).substr(num_sent_, end - num_sent_));
        if (!written) return lost(written.error(), is_kept);
        num_sent_ += written->num_bytes;
        if (written->need != IoNeed::kNone) return step_of(written->need);
    }
    if (end < bytes_.size()) {
        leave(now_s_);
        return Step::kEnded;
    }
    if (!sent_s_) {
        sent_s_ = now_s_;
        record_.phase = Phase::kWaiting;
    }
    for (;;) {
        const auto got = stream.read(buffer);
        if (!got) return lost(got.error(), is_kept);
        if (got->num_bytes > 0) {
            now_s_ = clock.now_s();
            take({buffer.data(), got->num_bytes});
        } else if (got->is_end) {
            if (const Status status = parser_.finish(); !status)
                return lost({status.error().code, "the server " + status.error().message, {}},
                            is_kept);
            finish();
        }
        if (is_ended_) return Step::kEnded;
        if (got->need != IoNeed::kNone) return step_of(got->need);
    }
}

// All of it, but for one that is left half sent.
std::size_t Exchange::num_bytes_to_send() const {
    if (!leave_ || leave_->part_sent >= 1.0) return bytes_.size();
    return static_cast<std::size_t>(leave_->part_sent * static_cast<double>(bytes_.size()));
}

void Exchange::take(std::string_view bytes) {
    if (leave_ && leave_->after_events == 0) return leave(now_s_);
    record_.has_bytes = true;
    const Status status = parser_.feed(bytes);
    if (is_ended_) return;
    if (!status)
        return fail(FailureKind::kMalformed, "no HTTP reply: " + status.error().message, now_s_);
    if (parser_.is_done()) finish();
}

bool Exchange::take_body(std::string_view bytes) {
    if (!is_events_) {
        is_events_ =
            parser_.response().headers.get("content-type").starts_with("text/event-stream");
        record_.status = parser_.response().status;
    }
    if (*is_events_) {
        events_.feed(bytes);
    } else {
        body_ += bytes;
    }
    return !is_ended_;
}

void Exchange::take_event(std::string_view data) {
    if (is_ended_) return;
    if (data == "[DONE]") {
        has_done_ = true;
        return;
    }
    const auto event = parse_answer_event(data);
    if (!event) return fail(FailureKind::kMalformed, event.error().message, now_s_);
    if (!note(*event)) return;
    if (event->has_text) note_text();
    if (event->has_answer) record_.phase = Phase::kAnswering;
    if (event->has_choice) last_choice_s_ = now_s_;
    if (leave_ && event->has_text && record_.num_text_events >= leave_->after_events) leave(now_s_);
}

bool Exchange::note(const AnswerEvent& event) {
    if (record_.request_id.empty()) record_.request_id = event.id;
    if (event.usage) record_.usage = event.usage;
    if (!event.finish_reason.empty()) record_.finish_reason = event.finish_reason;
    if (!event.error) return true;
    fail(FailureKind::kInStream, *event.error, now_s_);
    return false;
}

void Exchange::note_text() {
    ++record_.num_text_events;
    if (record_.first_token_s) {
        record_.gaps_s.push_back(now_s_ - last_text_s_);
    } else {
        record_.first_token_s = now_s_;
        record_.phase = Phase::kThinking;
    }
    last_text_s_ = now_s_;
}

void Exchange::take_answer(std::string_view body) {
    const auto answer = parse_answer_event(body);
    if (!answer) return fail(FailureKind::kMalformed, answer.error().message, now_s_);
    if (!note(*answer)) return;
    if (!answer->has_choice)
        return fail(FailureKind::kMalformed, "the answer holds no choice", now_s_);
    end(Outcome::kCompleted, now_s_);
}

// The reply is whole.
void Exchange::finish() {
    net::HttpResponse& response = parser_.response();
    record_.status = response.status;
    if (response.status < 200 || response.status >= 300) {
        const auto refusal = parse_answer_event(response.body);
        const bool is_told = refusal && refusal->error && !refusal->error->empty();
        return fail(FailureKind::kStatus, is_told ? *refusal->error : response.body, now_s_);
    }
    if (!is_events_.value_or(false)) return take_answer(body_);
    if (!has_done_ && record_.finish_reason.empty())
        return fail(FailureKind::kCutOff, "the stream ended without [DONE]", now_s_);
    end(Outcome::kCompleted, now_s_);
}

}  // namespace turnpike::gateway::client::bench
