// HttpClient: a blocking HTTP/1.1 client with keep-alive for the CLI, the control plane and
// background threads of the gateway. One client is used by one thread at a time. OpenSSL writes to
// sockets plainly: a process that uses TLS ignores SIGPIPE.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/result.h"
#include "config/net/address.h"
#include "config/net/http_message.h"
#include "config/net/tls_files.h"

namespace turnpike::net {

struct HttpClientOptions {
    NetAddress address;
    bool use_tls = false;
    std::string ca_file;      // PEM; empty = the system's store
    std::string server_name;  // SNI and certificate check; empty = address.host
    // PEM, our own, for a server that asks for one; empty = none.
    std::string certificate_file;
    std::string key_file;
    std::chrono::milliseconds connect_timeout = std::chrono::seconds(5);
    std::chrono::milliseconds timeout =
        std::chrono::seconds(30);  // whole exchange; for streams, between bytes
};

// For "unix:…", "tcp:…" or "tls:…". The last is mutual TLS: `files` are ours, and the server's
// certificate must carry `server_name`, wherever it listens. kInvalidArgument: that is no address,
// or a "tls:" one without files.
Result<HttpClientOptions> peer_options(std::string_view address,
                                       const std::optional<TlsFiles>& files,
                                       std::string_view server_name);

// The files that options name.
TlsFiles tls_files(const HttpClientOptions& options);

// Splits "https://localhost:8443/v1" or "unix:/run/x.sock:/v1" into options (TLS and address set)
// and the path prefix "/v1".
struct ParsedUrl {
    HttpClientOptions options;
    std::string path;
};

Result<ParsedUrl> parse_url(std::string_view url);

class HttpClient {
  public:
    explicit HttpClient(HttpClientOptions options);
    ~HttpClient();
    HttpClient(HttpClient&&) noexcept;
    HttpClient& operator=(HttpClient&&) noexcept;

    // One exchange. An idle connection that the server closed is reopened once, for any method,
    // only when not one byte of the reply had come. Errors: kUnavailable (cannot connect: nothing
    // was sent; message names the address), kIo (lost in between), kTimeout, kCorrupt (no HTTP). An
    // HTTP error status is a response, not an Error.
    Result<HttpResponse> send(const HttpRequest& request);

    // As send(), but hands each piece of the body to `on_data` as it comes, and returns the head
    // (body empty). `on_data` returning false ends the exchange and closes the connection; that is
    // success. A status other than 2xx is read whole into the response's body instead.
    Result<HttpResponse> stream(const HttpRequest& request,
                                const std::function<bool(std::string_view)>& on_data);

    // From another thread: makes the exchange in progress, and every later one, fail with kIo soon.
    void cancel();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace turnpike::net
