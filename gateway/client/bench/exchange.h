// Exchange: one request of a load test and its reply, over a connection that never waits.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/base/clock.h"
#include "config/net/client_dialer.h"
#include "config/net/http_response_parser.h"
#include "config/net/sse_parser.h"
#include "gateway/client/bench/answer_event.h"
#include "gateway/client/bench/leaving.h"
#include "gateway/client/bench/record.h"

namespace turnpike::gateway::client::bench {

// Seconds since the start of a run.
class RunClock {
  public:
    explicit RunClock(const Clock& clock) : clock_(clock), start_(clock.steady_now()) {}

    double now_s() const {
        return std::chrono::duration<double>(clock_.steady_now() - start_).count();
    }

    SteadyTime at(double time_s) const {
        return start_ + std::chrono::duration_cast<SteadyTime::duration>(
                            std::chrono::duration<double>(time_s));
    }

  private:
    const Clock& clock_;
    const SteadyTime start_;
};

class Exchange {
  public:
    // `record` holds index, intended tokens and start, gets the rest, and outlives this. `bytes`:
    // the whole HTTP request.
    Exchange(RequestRecord& record, std::string bytes, std::optional<Leave> leave);
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    enum class Step { kWaitReadable, kWaitWritable, kEnded, kRetry };

    // Goes on as far as `stream` lets it, reading through `buffer`. kEnded: the record is complete.
    // kRetry: the server closed a kept connection before the first byte of its reply, so restart()
    // and go on with another.
    Step advance(net::DialedStream& stream,
                 std::span<char> buffer,
                 bool is_kept,
                 const RunClock& clock);
    void restart();

    // Ends it from outside.
    void leave(double now_s);
    void fail(FailureKind kind, const std::string& message, double now_s);

    bool is_ended() const { return is_ended_; }

    // Once ended: whether the connection can carry another exchange.
    bool may_keep_connection() const;

    // When the request had been sent; none before.
    std::optional<double> sent_s() const { return sent_s_; }

  private:
    std::size_t num_bytes_to_send() const;
    void take(std::string_view bytes);
    Step lost(const Error& error, bool is_kept);
    bool take_body(std::string_view bytes);
    void take_event(std::string_view data);
    void take_answer(std::string_view body);
    // False: the reply is an error.
    bool note(const AnswerEvent& event);
    void note_text();
    void finish();
    void end(Outcome outcome, double now_s);

    RequestRecord& record_;
    const std::string bytes_;
    const std::optional<Leave> leave_;
    bool is_open_ = false;
    std::size_t num_sent_ = 0;
    std::optional<double> sent_s_;
    net::HttpResponseParser parser_;
    net::SseParser events_;
    std::string body_;               // of a reply that is no stream
    std::optional<bool> is_events_;  // the reply is a stream of events; none: not known yet
    bool has_done_ = false;          // [DONE]
    bool is_ended_ = false;
    double now_s_ = 0.0;  // of the bytes being taken
    double last_text_s_ = 0.0;
    double last_choice_s_ = 0.0;
};

}  // namespace turnpike::gateway::client::bench
