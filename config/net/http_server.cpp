#include "config/net/http_server.h"

#include <sys/stat.h>
#include <sys/un.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <list>
#include <optional>
#include <thread>
#include <utility>

#include "config/net/handover.h"
#include "config/net/http_session.h"

namespace turnpike::net {

namespace asio = boost::asio;

namespace {

using UnixProtocol = asio::local::stream_protocol;
using TcpProtocol = asio::ip::tcp;

// One event loop and the sessions that live on it.
struct Loop {
    asio::io_context io{1};
    std::shared_ptr<LoopGate> gate = std::make_shared<LoopGate>(io);
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
    std::list<std::weak_ptr<HttpSession>> sessions;  // touched on this loop only
    std::thread thread;
};

// A socket file that nobody answers on is left over from a crash.
Status remove_stale_socket(const std::string& path) {
    struct stat info {};

    if (::stat(path.c_str(), &info) != 0) return {};
    if (!S_ISSOCK(info.st_mode)) {
        return Error{ErrorCode::kConflict,
                     path + " exists and is no socket: remove it or listen elsewhere",
                     {}};
    }
    asio::io_context io;
    UnixProtocol::socket probe(io);
    boost::system::error_code error;
    probe.connect(UnixProtocol::endpoint(path), error);
    if (!error) {
        return Error{
            ErrorCode::kConflict, "another process answers on " + path + ": stop it first", {}};
    }
    ::unlink(path.c_str());
    return {};
}

class Server final : public HttpServer {
  public:
    Server(HttpServerOptions options, HttpHandler handler, Log& log)
        : options_(std::move(options)), handler_(std::move(handler)), log_(log) {
        for (int i = 0; i < options_.num_threads; ++i) loops_.emplace_back();
    }

    ~Server() override { stop(); }

    Status listen(UniqueFd listener) {
        RETURN_IF_ERROR(make_tls());
        Status status;
        if (listener.is_open()) {
            status = options_.address.is_unix() ? adopt(unix_acceptor_, UnixProtocol(), listener)
                                                : adopt_tcp(listener);
        } else {
            status = options_.address.is_unix() ? listen_unix() : listen_tcp();
        }
        if (!status) return status;
        for (Loop& loop : loops_) loop.thread = std::thread([&loop] { loop.io.run(); });
        return {};
    }

    NetAddress address() const override { return bound_; }

    Result<UniqueFd> share_listener() const override { return duplicate(listener_fd_); }

    void release_listener() override {
        if (std::exchange(is_released_, true)) return;
        end_accepting([this] {
            // release() and not close(): while another process has the socket too, only the former
            // takes it out of this one's epoll set.
            boost::system::error_code ignored;
            if (unix_acceptor_) UniqueFd(unix_acceptor_->release(ignored)).reset();
            if (tcp_acceptor_) UniqueFd(tcp_acceptor_->release(ignored)).reset();
        });
    }

    void stop() override {
        if (std::exchange(is_stopped_, true)) return;
        if (!is_released_) {
            end_accepting([this] {
                boost::system::error_code ignored;
                // Before the close: from then on the path may be a successor's.
                if (unix_acceptor_) ::unlink(bound_.unix_path.c_str());
                if (unix_acceptor_) unix_acceptor_->close(ignored);
                if (tcp_acceptor_) tcp_acceptor_->close(ignored);
            });
        }
        for (Loop& loop : loops_) {
            asio::post(loop.io,
                       [this, &loop] { drain(loop, std::chrono::steady_clock::duration::zero()); });
            loop.work.reset();
        }
        for (Loop& loop : loops_) {
            if (loop.thread.joinable()) loop.thread.join();
            loop.gate->close();
        }
    }

  private:
    static constexpr auto kDrainTick = std::chrono::milliseconds(20);

    // When it returns, whatever was accepted has been posted to its loop.
    void end_accepting(const std::function<void()>& close) {
        asio::io_context& io = loops_.front().io;
        if (!loops_.front().thread.joinable()) return close();
        std::promise<void> done;
        asio::post(io, [&] {
            close();
            // Behind the handler of a connection that was accepted just before.
            asio::post(io, [&done] { done.set_value(); });
        });
        done.get_future().wait();
    }

    template <class Acceptor, class Protocol>
    Status adopt(std::optional<Acceptor>& acceptor, const Protocol& protocol, UniqueFd& listener) {
        boost::system::error_code error;
        acceptor.emplace(loops_.front().io);
        acceptor->assign(protocol, listener.get(), error);
        if (error) return listen_error(error);
        listener_fd_ = listener.release();
        bound_ = options_.address;
        accept(*acceptor);
        return {};
    }

    Status adopt_tcp(UniqueFd& listener) {
        boost::system::error_code error;
        const auto host = asio::ip::make_address(options_.address.host, error);
        if (error) return listen_error(error);
        RETURN_IF_ERROR(
            adopt(tcp_acceptor_, host.is_v6() ? TcpProtocol::v6() : TcpProtocol::v4(), listener));
        bound_.port = tcp_acceptor_->local_endpoint(error).port();
        return {};
    }

    // Asks every session to end; after the time-out closes what is left. Runs on the loop until
    // empty.
    void drain(Loop& loop, std::chrono::steady_clock::duration waited) {
        const bool is_over = waited >= options_.drain_timeout;
        bool is_empty = true;
        for (const auto& weak : loop.sessions) {
            const auto session = weak.lock();
            if (session == nullptr) continue;
            is_empty = false;
            if (is_over) {
                session->close();
            } else {
                session->drain();
            }
        }
        if (is_empty || is_over) {
            loop.io.stop();
            return;
        }
        auto timer = std::make_shared<asio::steady_timer>(loop.io, kDrainTick);
        timer->async_wait([this, &loop, timer, waited](boost::system::error_code) {
            drain(loop, waited + kDrainTick);
        });
    }

    Status make_tls() {
        if (options_.address.is_tls != options_.tls.has_value()) {
            return invalid_argument(
                "expected TLS files for a tls: address and for no other, found " +
                to_string(options_.address));
        }
        if (!options_.tls) return {};
        // Without it anybody could connect.
        if (options_.tls->ca.empty())
            return invalid_argument("expected the authority of the clients' certificates");
        auto context = make_server_context(*options_.tls);
        RETURN_IF_ERROR(context);
        tls_ = std::move(*context);
        return {};
    }

    Status listen_unix() {
        const std::string& path = options_.address.unix_path;
        RETURN_IF_ERROR(remove_stale_socket(path));
        boost::system::error_code error;
        unix_acceptor_.emplace(loops_.front().io);
        unix_acceptor_->open(UnixProtocol(), error);
        if (!error) unix_acceptor_->bind(UnixProtocol::endpoint(path), error);
        // Before listen() nobody can connect, so the mode holds from the first moment on.
        if (!error && ::chmod(path.c_str(), static_cast<mode_t>(options_.unix_mode)) != 0)
            return errno_error("cannot set the mode of " + path);
        if (!error) unix_acceptor_->listen(asio::socket_base::max_listen_connections, error);
        if (error) return listen_error(error);
        listener_fd_ = unix_acceptor_->native_handle();
        bound_ = options_.address;
        accept(*unix_acceptor_);
        return {};
    }

    Status listen_tcp() {
        boost::system::error_code error;
        const auto host = asio::ip::make_address(options_.address.host, error);
        if (error) return listen_error(error);
        const TcpProtocol::endpoint endpoint(host, options_.address.port);
        tcp_acceptor_.emplace(loops_.front().io);
        tcp_acceptor_->open(endpoint.protocol(), error);
        if (!error) tcp_acceptor_->set_option(asio::socket_base::reuse_address(true), error);
        if (!error) tcp_acceptor_->bind(endpoint, error);
        if (!error) tcp_acceptor_->listen(asio::socket_base::max_listen_connections, error);
        if (error) return listen_error(error);
        listener_fd_ = tcp_acceptor_->native_handle();
        bound_ = options_.address;
        bound_.port = tcp_acceptor_->local_endpoint().port();
        accept(*tcp_acceptor_);
        return {};
    }

    Error listen_error(const boost::system::error_code& error) const {
        const bool is_taken = error == asio::error::address_in_use;
        return Error{is_taken ? ErrorCode::kConflict : ErrorCode::kIo,
                     "cannot listen on " + to_string(options_.address) + ": " + error.message(),
                     {}};
    }

    template <class Acceptor>
    void accept(Acceptor& acceptor) {
        next_loop_ = next_loop_ == nullptr || std::next(next_it_) == loops_.end() ? begin_loops()
                                                                                  : advance_loops();
        Loop& loop = *next_loop_;
        acceptor.async_accept(
            loop.io, [this, &acceptor, &loop](boost::system::error_code error,
                                              typename Acceptor::protocol_type::socket socket) {
                if (error && !acceptor.is_open()) return;
                if (error) {
                    log_.warning("accept_failed", {{"reason", error.message()}});
                    return retry_accept(acceptor);
                }
                if constexpr (std::is_same_v<typename Acceptor::protocol_type, TcpProtocol>) {
                    boost::system::error_code ignored;
                    socket.set_option(TcpProtocol::no_delay(true), ignored);
                }
                asio::post(loop.io,
                           [this, &loop, moved = HttpSession::Socket(std::move(socket))]() mutable {
                               add_session(loop, std::move(moved));
                           });
                if (acceptor.is_open()) accept(acceptor);
            });
    }

    // Out of descriptors, most likely: waiting a moment beats spinning.
    template <class Acceptor>
    void retry_accept(Acceptor& acceptor) {
        auto timer =
            std::make_shared<asio::steady_timer>(loops_.front().io, std::chrono::milliseconds(100));
        timer->async_wait([this, &acceptor, timer](boost::system::error_code) {
            if (acceptor.is_open()) accept(acceptor);
        });
    }

    void add_session(Loop& loop, HttpSession::Socket socket) {
        loop.sessions.remove_if([](const auto& weak) { return weak.expired(); });
        Ssl ssl(tls_ == nullptr ? nullptr : SSL_new(tls_.get()));
        if (tls_ != nullptr && ssl == nullptr)
            return log_.warning("accept_failed", {{"reason", take_ssl_error()}});
        auto session = std::make_shared<HttpSession>(loop.gate, std::move(socket), std::move(ssl),
                                                     options_, handler_, log_);
        loop.sessions.push_back(session);
        session->start();
    }

    Loop* begin_loops() {
        next_it_ = loops_.begin();
        return &*next_it_;
    }

    Loop* advance_loops() { return &*++next_it_; }

    HttpServerOptions options_;
    HttpHandler handler_;
    Log& log_;
    NetAddress bound_;
    SslContext tls_;
    std::list<Loop> loops_;
    std::list<Loop>::iterator next_it_;
    Loop* next_loop_ = nullptr;
    std::optional<UnixProtocol::acceptor> unix_acceptor_;
    std::optional<TcpProtocol::acceptor> tcp_acceptor_;
    int listener_fd_ = -1;  // the acceptor's
    bool is_released_ = false;
    bool is_stopped_ = false;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options,
                                                      HttpHandler handler,
                                                      Log& log,
                                                      UniqueFd listener) {
    auto server = std::make_unique<Server>(std::move(options), std::move(handler), log);
    RETURN_IF_ERROR(server->listen(std::move(listener)));
    return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace turnpike::net
