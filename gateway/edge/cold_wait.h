// ColdWait: a request to an endpoint that has scaled to none waits until its replica is READY. A
// stream is kept alive with comments meanwhile; other requests hear 503 after a while.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/base/error.h"
#include "gateway/edge/admission.h"
#include "gateway/edge/connection.h"
#include "gateway/edge/response_text.h"
#include "gateway/edge/task.h"
#include "gateway/edge/thread_context.h"

namespace turnpike::gateway {

class ColdWait {
  public:
    // `head`: of the reply, as a stream begins. `is_stream`: comments may be sent (HTTP/1.1).
    // `max_input_bytes`: the client may send ahead until its input holds so much.
    ColdWait(ThreadContext& context,
             Connection& connection,
             Admission& admission,
             ResponseHead head,
             bool is_stream,
             std::size_t max_input_bytes);

    // Until the admission's endpoint has a replica; its directory and endpoint are the newest then.
    // An error: there was none in time, or there will be none.
    Task<std::optional<Error>> run();

    bool is_client_gone() const { return is_client_gone_; }

    bool is_head_sent() const { return is_head_sent_; }

  private:
    enum class Look { kReady, kWait, kNever };

    Look look();
    void ask_for_news();
    Task<> comment();

    ThreadContext& context_;
    Connection& connection_;
    Admission& admission_;
    const ResponseHead head_;
    const bool is_stream_;
    const std::size_t max_input_bytes_;
    // Told of the next directory, while this lives.
    const std::shared_ptr<Connection*> listening_;
    std::uint64_t asked_version_ = 0;
    bool is_asking_ = false;
    bool is_client_gone_ = false;
    bool is_head_sent_ = false;
};

// The end of a stream whose head was sent: an error's JSON as its last event, and no [DONE].
std::string write_stream_end(std::string_view error_body);

}  // namespace turnpike::gateway
