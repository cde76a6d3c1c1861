// TlsClient: a raw TLS client for tests that care about bytes: pipelining, half-closing, leaving in
// the middle. Blocking, with a time limit on every read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/base/unique_handle.h"
#include "config/net/tls_context.h"

namespace turnpike::test {

struct RawResponse {
    int status = 0;  // 0: the connection ended first
    std::string head;
    std::string body;       // chunks joined
    bool is_whole = false;  // content-length reached, or the last chunk came

    // The value of a header, without case; empty when absent.
    std::string header(std::string_view name) const;
};

class TlsClient {
  public:
    // Connects to 127.0.0.1 and shakes hands; aborts the test program when that fails.
    // `receive_buffer_bytes`: a small SO_RCVBUF makes a slow reader.
    explicit TlsClient(std::uint16_t port, int receive_buffer_bytes = 0);

    void send(std::string_view bytes);
    // Everything until `marker` has come, or the end. What follows it is kept for the next read.
    std::string read_until(std::string_view marker);
    // Everything until the end of the connection.
    std::string read_to_end();
    RawResponse read_response();
    // At most `max_bytes`; empty at the end.
    std::string read_some(std::size_t max_bytes);

    // FIN after close_notify; the other direction stays open.
    void half_close();
    // RST.
    void reset();
    void close();

  private:
    bool fill();

    net::SslContext context_;
    UniqueFd fd_;
    net::Ssl ssl_;
    std::string buffer_;
};

}  // namespace turnpike::test
