// HttpSession: one server-side connection: reads requests, hands them to the handler, writes
// replies in order. Private to config/net. A session runs on the one thread of its io_context;
// replies may come from any thread and meet it through HttpExchange.
#pragma once

#include <atomic>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/net/http_server.h"
#include "config/net/server_stream.h"

namespace turnpike::net {

class HttpSession;

// The way into an event loop for threads that may outlive it, as holders of a reply do.
class LoopGate {
  public:
    explicit LoopGate(boost::asio::io_context& io) : io_(&io) {}

    // Runs `task` on the loop, or never once the gate is closed.
    template <class Task>
    void post(Task task) {
        const std::lock_guard lock(mutex_);
        if (io_ != nullptr) boost::asio::post(*io_, std::move(task));
    }

    void close() {
        const std::lock_guard lock(mutex_);
        io_ = nullptr;
    }

  private:
    std::mutex mutex_;
    boost::asio::io_context* io_;
};

// What a reply in progress shares between the producer's thread and the session's.
class HttpExchange {
  public:
    HttpExchange(std::weak_ptr<HttpSession> session,
                 std::shared_ptr<LoopGate> gate,
                 bool is_head,
                 bool keeps_alive);

    // Producer's side, any thread. What comes after the last piece, or after the peer can no longer
    // be written to, is dropped.
    bool append(std::string bytes, bool is_last);
    void abort();
    void on_client_gone(std::function<void()> callback);

    bool is_client_gone() const { return is_gone_.load(); }

    std::size_t backlog_bytes() const { return backlog_bytes_.load(); }

    bool is_head() const { return is_head_; }

    bool keeps_alive() const { return keeps_alive_; }

    // Session's side.
    struct Output {
        std::vector<std::string> pieces;
        bool is_last = false;
        bool is_aborted = false;
    };

    Output take_output();

    void written(std::size_t num_bytes) { backlog_bytes_ -= num_bytes; }

    // FIN or reset; `is_writable` false drops what is still to come.
    void client_gone(bool is_writable);

    void forbid_keep_alive() { keeps_alive_ = false; }

  private:
    void wake_session();  // with mutex_ held

    const std::weak_ptr<HttpSession> session_;
    const std::shared_ptr<LoopGate> gate_;
    const bool is_head_;
    std::atomic<bool> keeps_alive_;
    std::atomic<bool> is_gone_{false};
    std::atomic<std::size_t> backlog_bytes_{0};

    std::mutex mutex_;  // guards the rest
    Output output_;
    bool is_closed_ = false;  // nothing is taken any more
    bool is_ended_ = false;   // the last piece was appended
    bool is_wake_pending_ = false;
    std::function<void()> gone_callback_;
};

class HttpSession : public std::enable_shared_from_this<HttpSession> {
  public:
    using Socket = boost::asio::generic::stream_protocol::socket;

    // `ssl` null: plain.
    HttpSession(std::shared_ptr<LoopGate> gate,
                Socket socket,
                Ssl ssl,
                const HttpServerOptions& options,
                const HttpHandler& handler,
                Log& log);

    void start();
    // Closes at once when idle, else after the reply in progress. A first request, or one that has
    // begun to arrive, gets a moment to do so. On the session's thread.
    void drain();
    void close();
    // Takes what the exchange has produced. On the session's thread.
    void pump();

  private:
    using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

    void shake_hands();
    void wait(IoNeed need, void (HttpSession::*then)());
    void arm_read();
    void read();
    void took(std::size_t num_bytes);
    void took_end();
    void parse();
    void dispatch();
    void reject(int status, std::string_view code, const std::string& message);
    void finish_exchange();
    void set_deadline(std::chrono::steady_clock::duration timeout);
    void expired();
    void write_pending();
    void write();
    void wrote();

    const std::shared_ptr<LoopGate> gate_;
    Socket socket_;
    ServerStream stream_;
    const HttpServerOptions& options_;
    const HttpHandler& handler_;
    Log& log_;
    boost::asio::steady_timer deadline_;
    boost::beast::flat_buffer buffer_;
    std::optional<Parser> parser_;
    std::shared_ptr<HttpExchange> exchange_;
    // Set while a reply is in progress: after a FIN no read is armed that would keep the session.
    std::shared_ptr<HttpSession> self_;
    std::vector<std::string> writing_;
    std::size_t num_written_ = 0;  // bytes of writing_
    // Whose bytes they are. None: a "100 Continue", which no backlog counts.
    std::shared_ptr<HttpExchange> written_for_;
    bool is_reading_ = false;
    bool is_writing_ = false;
    bool is_last_taken_ = false;
    bool is_draining_ = false;
    bool has_had_request_ = false;
    bool is_peer_done_ = false;  // FIN seen
    bool is_continue_sent_ = false;
    bool has_partial_request_ = false;
    bool is_rejected_ = false;   // the rest of the request is read and thrown away
    bool is_lingering_ = false;  // the refusal is out; waits for the peer's FIN
};

}  // namespace turnpike::net
