// Relay: moves one metered reply from an engine to the client, and settles the books before the
// client gets its last bytes.
#pragma once

#include <string>
#include <string_view>

#include "config/base/error.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/credit_guard.h"
#include "gateway/edge/limit_guard.h"
#include "gateway/edge/metered_reply.h"
#include "gateway/edge/request_log.h"
#include "gateway/edge/response_text.h"
#include "gateway/edge/thread_context.h"
#include "gateway/edge/upstream_call.h"
#include "gateway/edge/usage_entry.h"

namespace turnpike::gateway {

struct RelayOptions {
    std::string_view request_id;
    bool is_stream = false;
    bool is_http10 = false;
    bool keeps_alive = true;
    bool wants_cost = false;        // in the reply's usage
    bool is_head_sent = false;      // of a stream, whose client has waited
    LimitGuard* limits = nullptr;   // never null; outlives the relay
    CreditGuard* credit = nullptr;  // likewise
    std::string_view model;         // that really runs
    bool is_chat = true;
};

class Relay {
  public:
    Relay(ThreadContext& context,
          Connection& connection,
          UpstreamCall& call,
          UsageEntry& usage,
          RequestLog& log,
          RelayOptions options);

    // After the head of a 200 reply. True when the client's connection can serve another request.
    Task<bool> run();

  private:
    using Event = UpstreamCall::Event;

    Task<bool> run_stream();
    Task<bool> run_unary();
    // The whole answer came: books first, then the answer.
    Task<bool> finish_unary();
    // The stream's end: books first, then the last bytes.
    Task<bool> finish_stream();
    // The engine ended without finishing.
    Task<bool> fail();
    // Cancels the request and reads on for its last count; what still comes is for the client, or
    // dropped with all that was not sent yet.
    Task<> stop_engine(bool keeps_output);
    // Stops the engine for want of a client or of time. `event`: which.
    Task<bool> abandon(Event event);
    // The credit is gone: stops the engine, gives the client what it has made until then, which is
    // paid for, and says why that is the end.
    Task<bool> exhaust();
    void append_length_chunks();
    Task<bool> refuse(const Error& error, int http_status);
    Task<bool> answer(int http_status, std::string_view body, bool keeps_alive);
    // Reads what is left of a complete reply, so that the upstream connection can be used again.
    Task<> finish_upstream();
    Task<bool> send_out();
    void append_error_event(const Error& error);
    void append_event(std::string_view json);
    // Takes what has come, and tells the limits of the count.
    void take_input(std::string& out);
    ReplyFacts facts();
    ResponseHead head_of(int http_status) const;

    ThreadContext& context_;
    Connection& connection_;
    UpstreamCall& call_;
    UsageEntry& usage_;
    RequestLog& log_;
    RelayOptions options_;
    MeteredReply reply_;
    std::string out_;  // for the client; begins with the head until that is sent
    bool is_head_sent_ = false;
    bool was_client_slow_ = false;
    bool is_client_gone_ = false;
    bool is_cut_off_ = false;
    bool is_exhausted_ = false;
};

}  // namespace turnpike::gateway
