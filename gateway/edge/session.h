// Session: one client connection from TLS handshake to close: reads requests, answers them in
// order. One coroutine on the connection's thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/edge/admission.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/request_log.h"
#include "gateway/edge/response_text.h"
#include "gateway/edge/thread_context.h"

namespace turnpike::gateway {

class Session {
  public:
    Session(ThreadContext& context, ClientStream stream);

    // `on_done` is called once, when the session is over, as the last thing; it may destroy the
    // session.
    void start(std::function<void()> on_done);

    void sweep(SteadyTime now) { connection_.sweep(now); }

    // Ends now when it is idle, else after the request in progress.
    void drain() { connection_.notify(Connection::kDraining); }

  private:
    enum class HeadOutcome {
        kRequest,  // a head, or a refusal of what came instead
        kClose,    // nobody asks for anything any more
    };

    Task<> run();
    Task<> serve();
    Task<bool> serve_one();
    Task<HeadOutcome> read_head(IncomingRequest& request);
    bool take_head(IncomingRequest& request);
    // False when the client has gone. May set the request's refusal.
    Task<bool> read_body(IncomingRequest& request);
    Task<bool> read_sized_body(IncomingRequest& request);
    Task<bool> read_chunked_body(IncomingRequest& request);
    bool note_body_end(Connection::Outcome outcome, IncomingRequest& request);
    std::string_view body_of(const IncomingRequest& request);
    Task<bool> respond(const IncomingRequest& request);
    std::string limit_lines(const IncomingRequest& request);
    Task<bool> respond_completion(const IncomingRequest& request);
    Task<bool> respond_query(const IncomingRequest& request);
    Task<bool> answer(const IncomingRequest& request,
                      int http_status,
                      std::string_view body,
                      std::string_view extra_lines);
    Task<bool> refuse(const IncomingRequest& request,
                      const Error& error,
                      std::string_view extra_lines);
    ResponseHead stream_head(const IncomingRequest& request, std::string_view extra_lines) const;
    Task<bool> refuse_cold(const IncomingRequest& request,
                           const Error& error,
                           std::string_view extra_lines,
                           bool is_head_sent);
    // Refuses what cannot be read on: the connection ends after the answer.
    void give_up(IncomingRequest& request, Error error);

    ThreadContext& context_;
    Connection connection_;
    RequestLog log_;
    std::string decoded_body_;         // of a chunked request
    std::size_t num_input_bytes_ = 0;  // of a sized body, at the start of the input
    bool must_close_ = false;          // unread bytes are no request
};

}  // namespace turnpike::gateway
