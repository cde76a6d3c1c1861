// ClientStream: TLS directly on a non-blocking descriptor (SSL_set_fd): no memory BIOs, no second
// copy. Read-ahead is on, so a caller always tries to read before it waits.
#pragma once

#include <span>
#include <string_view>

#include "config/base/result.h"
#include "config/net/tls_context.h"
#include "gateway/edge/io_result.h"
#include "gateway/edge/loop.h"

namespace turnpike::gateway {

class ClientStream {
  public:
    static Result<ClientStream> make(SSL_CTX& context, FdWatch watch);

    FdWatch& watch() { return watch_; }

    IoResult handshake();
    IoResult read(std::span<char> space);
    // Part of the bytes counts as kOk.
    IoResult write(std::string_view bytes);
    // Sends close_notify and FIN, without waiting for anything.
    void shut_down();
    // Throws received bytes away below TLS. False when the peer has no more.
    bool discard();

  private:
    ClientStream(net::Ssl ssl, FdWatch watch) : watch_(std::move(watch)), ssl_(std::move(ssl)) {}

    FdWatch watch_;
    net::Ssl ssl_;
    bool is_broken_ = false;
};

}  // namespace turnpike::gateway
