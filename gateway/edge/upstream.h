// Upstream: one connection to a replica, and the pool of idle ones that each gateway thread keeps.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "gateway/edge/byte_buffer.h"
#include "gateway/edge/io_result.h"
#include "gateway/edge/loop.h"

namespace turnpike::gateway {

class Upstream {
  public:
    // Starts to connect to "unix:..." or "tcp:<numeric address>:<port>". A Unix connection is ready
    // at once; a TCP one when it becomes writable and finish_connect() agrees. kIo: nobody listens.
    static Result<std::unique_ptr<Upstream>> connect(Loop& loop, const std::string& address);

    const std::string& address() const { return address_; }

    FdWatch& watch() { return watch_; }

    bool is_connecting() const { return is_connecting_; }

    Status finish_connect();

    // Head and body gathered, from `offset` of their concatenation. May write a part.
    IoResult write(std::string_view head, std::string_view body, std::size_t offset);
    // Into the buffer, which is given room for `min_free` more bytes.
    IoResult read(std::size_t min_free);

    ByteBuffer& buffer() { return buffer_; }

    // Sends FIN: the engine stops, and still sends its last meter line.
    void half_close();
    // Whether an idle connection still is what it should be: open and silent.
    bool is_idle_alive() const;

    // It served a request before, so the engine may have closed it in the meantime.
    bool is_reused() const { return is_reused_; }

  private:
    friend class UpstreamPool;
    Upstream(std::string address, FdWatch watch, bool is_connecting);

    std::string address_;
    FdWatch watch_;
    ByteBuffer buffer_;
    bool is_connecting_;
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
