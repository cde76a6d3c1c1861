#include "config/net/address.h"

#include <charconv>

#include "config/base/limits.h"

namespace turnpike::net {

Result<NetAddress> parse_address(std::string_view text) {
    const Error bad = invalid_argument(
        "expected an address like unix:/run/x.sock, tcp:127.0.0.1:8000 or tls:10.0.0.1:8000, found "
        "'" +
        excerpt(text) + "'");
    NetAddress address;
    if (text.starts_with("unix:")) {
        address.unix_path = text.substr(5);
        if (address.unix_path.empty()) return bad;
        if (address.unix_path.size() > limits::kMaxUnixSocketPath) {
            return invalid_argument("expected a Unix socket path of at most " +
                                    std::to_string(limits::kMaxUnixSocketPath) + " bytes, found " +
                                    std::to_string(address.unix_path.size()) + ": " +
                                    excerpt(address.unix_path));
        }
        return address;
    }
    address.is_tls = text.starts_with("tls:");
    if (!address.is_tls && !text.starts_with("tcp:")) return bad;
    const std::string_view rest = text.substr(4);
    const std::size_t colon = rest.rfind(':');
    if (colon == std::string_view::npos || colon == 0) return bad;
    std::string_view host = rest.substr(0, colon);
    if (host.front() == '[' && host.back() == ']' && host.find(':') != std::string_view::npos)
        host = host.substr(1, host.size() - 2);
    // Brackets stand around an IPv6 address, once.
    if (host.empty() || host.find_first_of("[]") != std::string_view::npos) return bad;
    const std::string_view port = rest.substr(colon + 1);
    const auto [end, problem] =
        std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (problem != std::errc() || end != port.data() + port.size()) return bad;
    address.host = host;
    return address;
}

std::string to_string(const NetAddress& address) {
    if (address.is_unix()) return "unix:" + address.unix_path;
    return (address.is_tls ? "tls:" : "tcp:") + host_of(address);
}

std::string host_of(const NetAddress& address) {
    if (address.is_unix()) return "localhost";
    const bool is_ipv6 = address.host.find(':') != std::string::npos;
    const std::string host = is_ipv6 ? "[" + address.host + "]" : address.host;
    return host + ":" + std::to_string(address.port);
}

}  // namespace turnpike::net
