// ClientDialer: client connections that never wait, plain or TLS, for a program with an event loop
// of its own. OpenSSL writes to sockets plainly: a process that uses TLS ignores SIGPIPE.
#pragma once

#include <sys/socket.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "config/base/result.h"
#include "config/base/unique_handle.h"
#include "config/net/http_client.h"
#include "config/net/io_progress.h"
#include "config/net/tls_context.h"

namespace turnpike::net {

// One connection. Errors name the peer; after one the stream is of no more use. One thread.
class DialedStream {
  public:
    int fd() const { return fd_.get(); }

    // Goes on connecting and shaking hands. kNone: it is open.
    Result<IoNeed> open();
    // Of an open stream.
    Result<IoProgress> write(std::string_view bytes);
    Result<IoProgress> read(std::span<char> buffer);

  private:
    friend class ClientDialer;

    Result<IoNeed> need_of_tls(int result);
    Error failure(const std::string& what) const;

    UniqueFd fd_;
    Ssl ssl_;
    std::string peer_;
    bool is_connected_ = false;
    bool is_open_ = false;
};

class ClientDialer {
  public:
    // Connects once, shakes hands and closes again, so that a name that does not resolve, a server
    // that is not there and a certificate that is not accepted are known before any load. Blocks up
    // to options.connect_timeout. Errors as HttpClient::send().
    static Result<ClientDialer> make(const HttpClientOptions& options);

    // Begins a connection to the address that make() found. kUnavailable: a Unix socket's queue is
    // full for the moment, with nothing to wait for. kIo: refused, out of descriptors or the like.
    Result<DialedStream> dial() const;

  private:
    explicit ClientDialer(HttpClientOptions options) : options_(std::move(options)) {}

    HttpClientOptions options_;
    sockaddr_storage address_{};
    socklen_t address_length_ = 0;
    SslContext context_;
};

}  // namespace turnpike::net
