// NetAddress: where a server listens or a client connects: a Unix socket, or a TCP host and port,
// plain or with mutual TLS.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/base/result.h"

namespace turnpike::net {

struct NetAddress {
    std::string unix_path;  // not empty: a Unix socket, and the other fields are unused
    std::string host;
    std::uint16_t port = 0;
    bool is_tls = false;  // each side shows its own process's certificate

    bool is_unix() const { return !unix_path.empty(); }
};

// "unix:/run/x.sock", "tcp:127.0.0.1:8000" or "tls:10.0.0.1:8000". A Unix path longer than
// limits::kMaxUnixSocketPath is refused with both lengths in the message.
Result<NetAddress> parse_address(std::string_view text);

// The form that parse_address reads.
std::string to_string(const NetAddress& address);

// What a client puts into the host field: "127.0.0.1:8000"; "localhost" for a Unix socket.
std::string host_of(const NetAddress& address);

}  // namespace turnpike::net
