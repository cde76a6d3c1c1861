// ServerStream: reads and writes of one accepted connection that never wait, plain or TLS. Private
// to config/net. OpenSSL writes to sockets plainly: a process that uses TLS ignores SIGPIPE.
#pragma once

#include <span>
#include <string>

#include "config/base/result.h"
#include "config/net/io_progress.h"
#include "config/net/tls_context.h"

namespace turnpike::net {

// One thread. After an error the stream is of no more use.
class ServerStream {
  public:
    // `fd` is the caller's, and does not block. `ssl` null: plain.
    ServerStream(int fd, Ssl ssl);

    // Goes on shaking hands; kNone: that is done, at once without TLS.
    Result<IoNeed> handshake();
    Result<IoProgress> read(std::span<char> space);
    // Of the pieces' bytes from `offset` on, as much as goes at once. When nothing went, the next
    // call has the same arguments.
    Result<IoProgress> write(std::span<const std::string> pieces, std::size_t offset);
    // read() may find bytes although the descriptor is not readable.
    bool has_pending() const;
    // Nothing more is sent: close_notify, then FIN. Idempotent.
    void shut_down();
    // After a failed handshake: FIN, and what the peer still sends is read as it is.
    void refuse();

  private:
    Result<IoNeed> need_of(int result);
    Result<IoProgress> write_plain(std::span<const std::string> pieces, std::size_t offset) const;

    int fd_;
    Ssl ssl_;
    bool is_broken_ = false;
    bool is_shut_down_ = false;
    std::string record_;  // what several pieces hold together
};

}  // namespace turnpike::net
