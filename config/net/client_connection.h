// ClientConnection: one blocking client connection, plain or TLS, with deadlines and a cancel
// signal. Private to config/net.
#pragma once

#include <chrono>
#include <span>
#include <string_view>

#include "config/base/result.h"
#include "config/base/unique_handle.h"
#include "config/net/http_client.h"
#include "config/net/tls_context.h"

namespace turnpike::net {

class ClientConnection {
  public:
    using Deadline = std::chrono::steady_clock::time_point;

    // `cancel_fd` becomes readable to end every wait with kIo; -1: nothing does.
    static Result<ClientConnection> open(const HttpClientOptions& options,
                                         int cancel_fd,
                                         Deadline deadline);

    Status write_all(std::string_view bytes, Deadline deadline);

    // The socket, still this object's.
    int fd() const { return fd_.get(); }

    // At least one byte, or 0 at the end of the stream.
    Result<std::size_t> read_some(std::span<char> buffer, Deadline deadline);

  private:
    ClientConnection(UniqueFd fd, int cancel_fd, std::string peer);
    Status connect_socket(const HttpClientOptions& options, Deadline deadline);
    Status start_tls(const HttpClientOptions& options, Deadline deadline);
    Status wait(short events, Deadline deadline);
    // Waits for what OpenSSL wants after `result` <= 0; kCorrupt when the session broke.
    Status wait_for_tls(int result, Deadline deadline);
    Error failure(const std::string& what) const;

    UniqueFd fd_;
    int cancel_fd_;
    std::string peer_;
    SslContext context_;
    Ssl ssl_;
};

}  // namespace turnpike::net
