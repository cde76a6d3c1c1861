#include "config/net/http_session.h"

#include <boost/asio/post.hpp>
#include <cstdio>
#include <utility>

namespace turnpike::net {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

constexpr std::size_t kReadBytes = 16 * 1024;
// While a reply is in progress the peer may send this much of its next requests.
constexpr std::size_t kMaxPipelinedBytes = 64 * 1024;

std::string head_of(int status, const HttpHeaders& headers, bool keeps_alive) {
    std::string head = "HTTP/1.1 " + std::to_string(status) + " ";
    head += reason_phrase(status);
    head += "\r\n";
    for (const auto& [name, value] : headers) head += name + ": " + value + "\r\n";
    if (!keeps_alive) head += "connection: close\r\n";
    return head;
}

// How long the rest of a refused request is still read.
constexpr auto kLingerTimeout = std::chrono::seconds(2);
// Of a connection that was accepted just before the server was stopped.
constexpr auto kFirstRequestGrace = std::chrono::milliseconds(250);

// The arguments are this file's own and need no escaping.
std::string error_body(std::string_view type, std::string_view code, const std::string& message) {
    std::string body = R"({"error":{"message":")" + message + R"(","type":")";
    body += type;
    body += R"(","param":null,"code":")";
    body += code;
    return body + R"("}})";
}

HttpResponse error_response(int status, std::string_view code, const std::string& message) {
    const char* type = status < 500 ? "invalid_request_error" : "server_error";
    return {status, {{"content-type", "application/json"}}, error_body(type, code, message)};
}

// The user's handle. Dropping the last reference without an end is itself an answer.
class Reply final : public HttpReply {
  public:
    explicit Reply(std::shared_ptr<HttpExchange> exchange) : exchange_(std::move(exchange)) {}

    ~Reply() override {
        if (is_finished_) return;
        if (is_started_) {
            exchange_->abort();
        } else {
            respond(
                error_response(500, "internal_error", "the request was dropped without an answer"));
        }
    }

    void respond(HttpResponse response) override {
        if (is_started_.exchange(true)) return;
        is_finished_ = true;
        std::string bytes = head_of(response.status, response.headers, exchange_->keeps_alive());
        const bool has_body = response.status != 204;
        if (has_body) bytes += "content-length: " + std::to_string(response.body.size()) + "\r\n";
        bytes += "\r\n";
        if (has_body && !exchange_->is_head()) bytes += response.body;
        exchange_->append(std::move(bytes), /*is_last=*/true);
    }

    void start(int status, HttpHeaders headers) override {
        if (is_started_.exchange(true)) return;
        headers.add("transfer-encoding", "chunked");
        exchange_->append(head_of(status, headers, exchange_->keeps_alive()) + "\r\n",
                          /*is_last=*/false);
    }

    bool write(std::string chunk) override {
        if (chunk.empty() || exchange_->is_head()) return !exchange_->is_client_gone();
        char size[24];
        const int length = std::snprintf(size, sizeof size, "%zx\r\n", chunk.size());
        chunk.insert(0, size, static_cast<std::size_t>(length));
        chunk += "\r\n";
        return exchange_->append(std::move(chunk), /*is_last=*/false);
    }

    void finish() override {
        if (is_finished_.exchange(true)) return;
        exchange_->append(exchange_->is_head() ? "" : "0\r\n\r\n", /*is_last=*/true);
    }

    void on_client_gone(std::function<void()> callback) override {
        exchange_->on_client_gone(std::move(callback));
    }

    bool is_client_gone() const override { return exchange_->is_client_gone(); }

    std::size_t backlog_bytes() const override { return exchange_->backlog_bytes(); }

  private:
    const std::shared_ptr<HttpExchange> exchange_;
    std::atomic<bool> is_started_{false};
    std::atomic<bool> is_finished_{false};
};

std::size_t num_fields(const http::fields& fields) {
    return static_cast<std::size_t>(std::distance(fields.begin(), fields.end()));
}

HttpRequest to_request(http::request<http::string_body>&& message) {
    HttpRequest request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    for (const auto& field : message) {
        request.headers.add(std::string(field.name_string()), std::string(field.value()));
    }
    request.body = std::move(message.body());
    return request;
}

}  // namespace

HttpExchange::HttpExchange(std::weak_ptr<HttpSession> session,
                           std::shared_ptr<LoopGate> gate,
                           bool is_head,
                           bool keeps_alive)
    : session_(std::move(session)),
      gate_(std::move(gate)),
      is_head_(is_head),
      keeps_alive_(keeps_alive) {}

bool HttpExchange::append(std::string bytes, bool is_last) {
    const std::lock_guard lock(mutex_);
    if (is_closed_ || is_ended_) return false;
    is_ended_ = is_last;
    const std::size_t backlog = backlog_bytes_ += bytes.size();
    output_.pieces.push_back(std::move(bytes));
    output_.is_last = is_last;
    wake_session();
    return !is_gone_.load() && backlog <= limits::kMaxStreamBacklogBytes;
}

void HttpExchange::abort() {
    const std::lock_guard lock(mutex_);
    if (is_closed_ || is_ended_) return;
    is_ended_ = true;
    output_.is_aborted = true;
    wake_session();
}

void HttpExchange::wake_session() {
    if (std::exchange(is_wake_pending_, true)) return;
    gate_->post([session = session_] {
        if (const auto alive = session.lock()) alive->pump();
    });
}

HttpExchange::Output HttpExchange::take_output() {
    const std::lock_guard lock(mutex_);
    is_wake_pending_ = false;
    Output taken = std::move(output_);
    output_ = Output();
    return taken;
}

void HttpExchange::on_client_gone(std::function<void()> callback) {
    {
        const std::lock_guard lock(mutex_);
        if (!is_gone_.load()) {
            gone_callback_ = std::move(callback);
            return;
        }
    }
    callback();
}

void HttpExchange::client_gone(bool is_writable) {
    std::function<void()> callback;
    {
        const std::lock_guard lock(mutex_);
        if (!is_writable) is_closed_ = true;
        if (!is_gone_.exchange(true)) callback = std::exchange(gone_callback_, nullptr);
    }
    if (callback) callback();
}

HttpSession::HttpSession(std::shared_ptr<LoopGate> gate,
                         Socket socket,
                         Ssl ssl,
                         const HttpServerOptions& options,
                         const HttpHandler& handler,
                         Log& log)
    : gate_(std::move(gate)),
      socket_(std::move(socket)),
      stream_(socket_.native_handle(), std::move(ssl)),
      options_(options),
      handler_(handler),
      log_(log),
      deadline_(socket_.get_executor()) {}

void HttpSession::start() {
    boost::system::error_code error;
    socket_.native_non_blocking(true, error);
    if (error) return;
    set_deadline(options_.head_timeout);
    shake_hands();
}

void HttpSession::shake_hands() {
    const auto need = stream_.handshake();
    if (need && *need == IoNeed::kNone) return parse();  // makes the parser, arms the first read
    if (need) return wait(*need, &HttpSession::shake_hands);
    log_.warning("handshake_failed", {{"reason", need.error().message}});
    // As after a refused request: the peer is to read why.
    stream_.refuse();
    is_rejected_ = true;
    is_lingering_ = true;
    set_deadline(kLingerTimeout);
    arm_read();
}

void HttpSession::wait(IoNeed need, void (HttpSession::*then)()) {
    const auto kind = need == IoNeed::kWritable ? Socket::wait_write : Socket::wait_read;
    socket_.async_wait(kind, [self = shared_from_this(), then](boost::system::error_code error) {
        if (!error && self->socket_.is_open()) (self.get()->*then)();
    });
}

void HttpSession::drain() {
    const bool was_draining = std::exchange(is_draining_, true);
    if (exchange_ == nullptr) {
        if (is_lingering_ || (has_had_request_ && !has_partial_request_)) return close();
        // Its client cannot know that this end is going away.
        if (!was_draining) set_deadline(kFirstRequestGrace);
    } else {
        exchange_->forbid_keep_alive();
    }
}

void HttpSession::close() {
    boost::system::error_code ignored;
    deadline_.cancel();
    if (exchange_ == nullptr && socket_.is_open()) stream_.shut_down();
    socket_.close(ignored);
    const std::shared_ptr<HttpSession> last = std::move(self_);
    if (exchange_ != nullptr) std::exchange(exchange_, nullptr)->client_gone(/*is_writable=*/false);
}

void HttpSession::set_deadline(std::chrono::steady_clock::duration timeout) {
    deadline_.expires_after(timeout);
    deadline_.async_wait([self = shared_from_this()](boost::system::error_code error) {
        if (!error) self->expired();
    });
}

void HttpSession::expired() {
    // A wait that had ended when the deadline was moved comes here all the same.
    if (!socket_.is_open() || deadline_.expiry() > SystemClock().steady_now()) return;
    if (is_writing_ || is_lingering_) return close();
    if (exchange_ != nullptr) return;
    if (has_partial_request_) {
        reject(408, "timeout", "the request did not arrive in time");
    } else {
        close();
    }
}

void HttpSession::arm_read() {
    const bool is_full =
        exchange_ != nullptr && !is_rejected_ && buffer_.size() >= kMaxPipelinedBytes;
    if (is_reading_ || is_peer_done_ || is_full || !socket_.is_open()) return;
    is_reading_ = true;
    if (!stream_.has_pending()) return wait(IoNeed::kReadable, &HttpSession::read);
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
        if (self->socket_.is_open()) self->read();
    });
}

void HttpSession::read() {
    const auto space = buffer_.prepare(kReadBytes);
    const auto progress = stream_.read({static_cast<char*>(space.data()), space.size()});
    if (progress && progress->need != IoNeed::kNone)
        return wait(progress->need, &HttpSession::read);
    is_reading_ = false;
    if (!progress) {
        is_peer_done_ = true;
        close();
    } else if (progress->is_end) {
        took_end();
    } else {
        took(progress->num_bytes);
    }
}

void HttpSession::took_end() {
    is_peer_done_ = true;
    if (exchange_ == nullptr) return close();
    exchange_->forbid_keep_alive();
    exchange_->client_gone(/*is_writable=*/true);
}

void HttpSession::took(std::size_t num_bytes) {
    buffer_.commit(num_bytes);
    if (is_rejected_) {
        buffer_.consume(buffer_.size());
        arm_read();
    } else if (exchange_ == nullptr) {
        parse();
    } else {
        arm_read();
    }
}

void HttpSession::parse() {
    if (!parser_) {
        parser_.emplace();
        parser_->eager(true);
        parser_->header_limit(limits::kMaxHeadBytes);
        parser_->body_limit(options_.max_body_bytes);
        is_continue_sent_ = false;
        has_partial_request_ = false;
    }
    boost::system::error_code error;
    while (buffer_.size() > 0 && !parser_->is_done()) {
        if (!std::exchange(has_partial_request_, true)) set_deadline(options_.head_timeout);
        const bool had_head = parser_->is_header_done();
        const std::size_t used = parser_->put(buffer_.data(), error);
        buffer_.consume(used);
        if (!had_head && parser_->is_header_done()) set_deadline(options_.body_timeout);
        if (error == http::error::need_more) break;
        if (error == http::error::header_limit)
            return reject(431, "header_too_large", "the request head is too large");
        if (error == http::error::body_limit)
            return reject(413, "too_large", "the request body is too large");
        if (error) return reject(400, "invalid_argument", "the request is not valid HTTP/1.1");
        if (used == 0) break;
    }
    if (parser_->is_header_done() && num_fields(parser_->get()) > limits::kMaxHeaderFields)
        return reject(431, "header_too_large", "the request has too many header fields");
    if (parser_->is_done()) return dispatch();
    if (parser_->is_header_done() && !std::exchange(is_continue_sent_, true) &&
        parser_->get()[http::field::expect] == "100-continue") {
        writing_.emplace_back("HTTP/1.1 100 Continue\r\n\r\n");
        write_pending();
    }
    arm_read();
}

void HttpSession::reject(int status, std::string_view code, const std::string& message) {
    is_rejected_ = true;
    buffer_.consume(buffer_.size());
    exchange_ = std::make_shared<HttpExchange>(weak_from_this(), gate_, /*is_head=*/false,
                                               /*keeps_alive=*/false);
    is_last_taken_ = false;
    self_ = shared_from_this();
    Reply(exchange_).respond(error_response(status, code, message));
    arm_read();
}

void HttpSession::dispatch() {
    deadline_.cancel();
    auto message = parser_->release();
    parser_.reset();
    const bool is_head = message.method() == http::verb::head;
    const bool keeps_alive = message.keep_alive() && !is_draining_;
    exchange_ = std::make_shared<HttpExchange>(weak_from_this(), gate_, is_head, keeps_alive);
    is_last_taken_ = false;
    self_ = shared_from_this();
    has_had_request_ = true;
    arm_read();  // watches for FIN
    handler_(to_request(std::move(message)), std::make_shared<Reply>(exchange_));
}

void HttpSession::pump() {
    if (exchange_ == nullptr || is_writing_ || !socket_.is_open()) return;
    HttpExchange::Output output = exchange_->take_output();
    for (std::string& piece : output.pieces) writing_.push_back(std::move(piece));
    is_last_taken_ = is_last_taken_ || output.is_last || output.is_aborted;
    if (output.is_aborted) exchange_->forbid_keep_alive();
    if (!writing_.empty()) {
        write_pending();
    } else if (is_last_taken_) {
        finish_exchange();
    }
}

void HttpSession::write_pending() {
    is_writing_ = true;
    num_written_ = 0;
    written_for_ = exchange_;
    if (written_for_ != nullptr) set_deadline(options_.stall_timeout);
    write();
}

void HttpSession::write() {
    std::size_t num_left = 0;
    for (const std::string& piece : writing_) num_left += piece.size();
    num_left -= num_written_;
    bool has_moved = false;
    while (num_left > 0) {
        const auto progress = stream_.write(writing_, num_written_);
        if (!progress) return close();
        if (progress->need != IoNeed::kNone) {
            // Whatever the peer takes moves the deadline: a slow reader is not a gone one.
            if (has_moved && written_for_ != nullptr) set_deadline(options_.stall_timeout);
            return wait(progress->need, &HttpSession::write);
        }
        has_moved = true;
        num_written_ += progress->num_bytes;
        num_left -= progress->num_bytes;
    }
    // Not at once: other sessions of this loop have their turn before the next pieces.
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
        if (self->socket_.is_open()) self->wrote();
    });
}

void HttpSession::wrote() {
    is_writing_ = false;
    writing_.clear();
    if (const auto exchange = std::exchange(written_for_, nullptr)) {
        deadline_.cancel();
        exchange->written(num_written_);
    }
    pump();
}

void HttpSession::finish_exchange() {
    const bool keeps_alive = exchange_->keeps_alive() && !is_draining_ && !is_peer_done_;
    exchange_.reset();
    const std::shared_ptr<HttpSession> last = std::move(self_);
    if (keeps_alive) {
        set_deadline(options_.idle_timeout);
        return parse();
    }
    stream_.shut_down();
    if (!is_rejected_ || is_peer_done_ || is_draining_) return close();
    // Closing with unread bytes resets the connection, and the peer may lose a refusal that it has
    // not read yet. So its FIN is awaited, for a while, and what it still sends is thrown away.
    is_lingering_ = true;
    set_deadline(kLingerTimeout);
    arm_read();
}

}  // namespace turnpike::net
