// UpstreamCall: one request on one upstream connection, as coroutine steps: connect, send, read the
// head, read on. While it reads it also watches the client, whose FIN means cancel.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "gateway/edge/connection.h"
#include "gateway/edge/reply_head.h"
#include "gateway/edge/thread_context.h"
#include "gateway/edge/upstream.h"

namespace turnpike::gateway {

class UpstreamCall {
  public:
    enum class Event {
        kOk,          // bytes came, or the step is done
        kEnded,       // the engine closed, reset, or does not speak HTTP
        kClientGone,  // the client sent FIN or reset
        kDeadline,    // the connection's deadline has passed
    };

    // `max_input_bytes`: while the reply is awaited, the client may send ahead until its input
    // holds so much.
    UpstreamCall(ThreadContext& context,
                 Connection& connection,
                 std::unique_ptr<Upstream> upstream,
                 std::size_t max_input_bytes);
    ~UpstreamCall();
    UpstreamCall(const UpstreamCall&) = delete;
    UpstreamCall& operator=(const UpstreamCall&) = delete;

    // A pooled connection, else a new one. Null when the replica cannot be reached.
    static Task<std::unique_ptr<Upstream>> connect(ThreadContext& context,
                                                   Connection& connection,
                                                   const std::string& address,
                                                   bool may_reuse);

    // The views must stay valid until the task is done.
    Task<Event> send(std::string_view head, std::string_view body);
    // At least one byte more in input(), which gets room for `min_free`.
    Task<Event> read_more(std::size_t min_free);
    // Sets head() on kOk.
    Task<Event> read_head();

    const ReplyHead& head() const { return *head_; }

    ByteBuffer& input() { return upstream_->buffer(); }

    // Not one byte of the reply has come.
    bool is_untouched() const { return !has_received_; }

    bool is_reused() const { return upstream_->is_reused(); }

    // Half-closes, stops to watch the client, and gives the engine a last while to answer.
    void cancel();
    // To the pool, when the reply was read to its end and the engine keeps the connection.
    void give_back();

  private:
    // Of a new connection that is not open at once; logs why not.
    static Task<bool> finish_opening(ThreadContext& context,
                                     Connection& connection,
                                     Upstream& upstream);
    unsigned client_events() const;
    void log_failure() const;

    ThreadContext& context_;
    Connection& connection_;
    std::unique_ptr<Upstream> upstream_;
    std::size_t max_input_bytes_;
    std::optional<ReplyHead> head_;
    bool watches_client_ = true;
    bool has_received_ = false;
};

}  // namespace turnpike::gateway
