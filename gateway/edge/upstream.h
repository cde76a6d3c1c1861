// Upstream: one connection to a replica, and the pool of idle ones that each gateway thread keeps.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "config/net/tls_context.h"
#include "gateway/edge/byte_buffer.h"
#include "gateway/edge/io_result.h"
#include "gateway/edge/loop.h"

namespace turnpike::gateway {

class Upstream {
  public:
    // Starts to connect to "unix:...", "tcp:<numeric address>:<port>" or "tls:" likewise. A Unix
    // connection is open at once; others need open(). kIo: nobody listens. `tls` makes the
    // connections of tls: addresses, which are refused where it is null; it outlives them.
    static Result<std::unique_ptr<Upstream>> connect(Loop& loop,
                                                     const std::string& address,
                                                     SSL_CTX* tls);

    const std::string& address() const { return address_; }

    bool is_tls() const { return ssl_ != nullptr; }

    FdWatch& watch() { return watch_; }

    bool is_open() const { return is_open_; }

    // Goes on connecting, and shaking hands: at first when the descriptor is writable. kOk: it is
    // open; kWouldRead, kWouldWrite: once more then.
    Result<IoResult::Status> open();

    // Head and body gathered, from `offset` of their concatenation. May write a part.
    IoResult write(std::string_view head, std::string_view body, std::size_t offset);
    // Into the buffer, which is given room for `min_free` more bytes.
    IoResult read(std::size_t min_free);

    ByteBuffer& buffer() { return buffer_; }

    // Sends FIN, behind close_notify where there is TLS: the engine stops, and still sends its last
    // meter line.
    void half_close();
    // Whether an idle connection still is what it should be: open and silent.
    bool is_idle_alive() const;

    // It served a request before, so the engine may have closed it in the meantime.
    bool is_reused() const { return is_reused_; }

  private:
    friend class UpstreamPool;
    Upstream(std::string address, FdWatch watch, net::Ssl ssl, bool is_open);
    IoResult read_tls(std::span<char> space);
    IoResult write_tls(std::string_view head, std::string_view body, std::size_t offset);
    Result<IoResult::Status> shake_hands();

    std::string address_;
    FdWatch watch_;
    net::Ssl ssl_;  // null: plain
    ByteBuffer buffer_;
    bool is_connected_ = false;  // of TCP
    bool is_open_;
    bool is_broken_ = false;  // of TLS
    bool is_reused_ = false;
    SteadyTime idle_since_;
};

// Newest first, so that a quiet pool shrinks. One thread.
class UpstreamPool {
  public:
    // A live idle connection, or null.
    std::unique_ptr<Upstream> take(const std::string& address);
    void give_back(std::unique_ptr<Upstream> upstream, SteadyTime now);
    // Closes what has been idle for longer than the engine keeps it.
    void sweep(SteadyTime now);

    std::size_t size() const;

  private:
    std::unordered_map<std::string, std::vector<std::unique_ptr<Upstream>>> idle_;
};

}  // namespace turnpike::gateway
