// HttpServer: HTTP/1.1 keep-alive over Unix sockets or TCP, for the engine and the control plane.
// Asio and Beast stay out of this header. Not for the public edge: the gateway has its own session,
// which relays bytes by hand. OpenSSL writes to sockets plainly: a process that uses TLS ignores
// SIGPIPE.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "config/base/limits.h"
#include "config/base/log.h"
#include "config/base/result.h"
#include "config/base/unique_handle.h"
#include "config/net/address.h"
#include "config/net/http_message.h"
#include "config/net/tls_files.h"

namespace turnpike::net {

// The reply to one request. Thread-safe: any thread may call any function, also after the client
// has gone or the server was destroyed (the call then does nothing). Exactly one of respond() or
// start() must come first; dropping the last reference before that answers 500. Dropping it between
// start() and finish() closes the connection after what was written.
class HttpReply {
  public:
    virtual ~HttpReply() = default;

    // The whole reply at once.
    virtual void respond(HttpResponse response) = 0;

    // Head of a chunked reply; then write() once per HTTP chunk, then finish(). Each write()
    // becomes one chunk of its own, in order. Returns false once the client is gone or the backlog
    // is over `limits::kMaxStreamBacklogBytes`; the caller then stops producing.
    virtual void start(int status, HttpHeaders headers) = 0;
    virtual bool write(std::string chunk) = 0;
    virtual void finish() = 0;

    // Called at most once, on a server thread, when the client sends FIN (over TLS close_notify,
    // FIN or both; also a half-close, after which writes still reach it) or resets the connection
    // before finish(). Called at once when that has happened already. A FIN means cancel: see
    // ops/docs/formats/engine-protocol.md.
    virtual void on_client_gone(std::function<void()> callback) = 0;
    virtual bool is_client_gone() const = 0;
    // Bytes accepted by write() and not yet taken by the socket.
    virtual std::size_t backlog_bytes() const = 0;
};

using HttpHandler = std::function<void(HttpRequest request, std::shared_ptr<HttpReply> reply)>;

struct HttpServerOptions {
    NetAddress address;
    // Of a "tls:" address, and of no other. Mutual: a client without a certificate of tls->ca is
    // refused in the handshake.
    std::optional<TlsFiles> tls;
    int unix_mode = 0600;  // permission bits of a Unix socket
    int num_threads = 1;
    std::size_t max_body_bytes = limits::kMaxBodyBytes;
    std::chrono::milliseconds drain_timeout = std::chrono::seconds(30);
    // Tests shorten these.
    std::chrono::milliseconds head_timeout = limits::kHeadTimeout;
    std::chrono::milliseconds body_timeout = limits::kBodyTimeout;
    std::chrono::milliseconds idle_timeout = limits::kIdleTimeout;
    // A client that takes nothing of a reply for so long is gone.
    std::chrono::milliseconds stall_timeout = limits::kClientStallTimeout;
};

class HttpServer {
  public:
    // Binds and listens at once (a stale Unix socket file that nobody answers on is replaced; one
    // that somebody answers on is a kConflict). `handler` runs on a server thread and must not
    // block for long; it may keep `reply` and answer from elsewhere. Malformed, oversized and slow
    // requests are answered 400, 408, 413, 431 by the server with the JSON error body of the public
    // API. An open `listener` is a listening socket of that address that another process gave: it
    // is used as it is.
    static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options,
                                                     HttpHandler handler,
                                                     Log& log,
                                                     UniqueFd listener = UniqueFd());

    virtual ~HttpServer() = default;
    // The bound address; with port 0 asked, the port that was given.
    virtual NetAddress address() const = 0;
    // The listening socket, for another process to use as well. Before stop().
    virtual Result<UniqueFd> share_listener() const = 0;
    // The listening socket is another process's now: takes no connection any more and leaves a Unix
    // socket's path alone. What was accepted is answered as before. Once, before stop().
    virtual void release_listener() = 0;
    // Stops accepting, closes idle connections, waits for replies in progress up to drain_timeout
    // (and a moment for the first request of a new connection), then closes the rest and joins the
    // threads. Idempotent.
    virtual void stop() = 0;
};

}  // namespace turnpike::net
