// Listener: a TCP port on the loopback address, for tests that play the server themselves.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>

#include "config/base/check.h"
#include "config/base/unique_handle.h"
#include "config/net/address.h"

namespace turnpike::net {

class Listener {
  public:
    Listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* raw = reinterpret_cast<sockaddr*>(&address);
        CHECK(::bind(fd_.get(), raw, size) == 0);
        CHECK(::listen(fd_.get(), 16) == 0);
        CHECK(::getsockname(fd_.get(), raw, &size) == 0);
        port_ = ntohs(address.sin_port);
    }

    // Waits for the next client; reads and writes of the socket fail after 10 s.
    UniqueFd accept() const {
        UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        CHECK(fd.is_open());
        const timeval limit{10, 0};
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        return fd;
    }

    NetAddress address() const { return {"", "127.0.0.1", port_}; }

    std::uint16_t port() const { return port_; }

    void close() { fd_.reset(); }

  private:
    UniqueFd fd_;
    std::uint16_t port_ = 0;
};

}  // namespace turnpike::net
