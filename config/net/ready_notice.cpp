#include "config/net/ready_notice.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>

namespace turnpike::net {
namespace {

constexpr std::string_view kReady = "READY=1\nMAINPID=";

struct Address {
    sockaddr_un value{};
    socklen_t length = 0;

    const sockaddr* generic() const { return reinterpret_cast<const sockaddr*>(&value); }
};

// '@' begins a name of the abstract name space, as in sd_notify(3).
Result<Address> address_of(std::string path) {
    Address address;
    address.value.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.value.sun_path)
        return invalid_argument("expected the path of a socket, found '" + excerpt(path) + "'");
    const std::size_t num_bytes = path.front() == '@' ? path.size() : path.size() + 1;
    if (path.front() == '@') path.front() = '\0';
    std::memcpy(address.value.sun_path, path.c_str(), num_bytes);
    address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + num_bytes);
    return address;
}

Result<UniqueFd> open_socket() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) return errno_error("cannot make a socket");
    return fd;
}

}  // namespace

Result<ReadyNotices> ReadyNotices::listen(const std::string& path) {
    const auto address = address_of(path);
    RETURN_IF_ERROR(address);
    auto socket = open_socket();
    RETURN_IF_ERROR(socket);
    ::unlink(path.c_str());
    const mode_t others = ::umask(0077);
    const int result = ::bind(socket->get(), address->generic(), address->length);
    ::umask(others);
    if (result != 0) return errno_error("cannot listen on " + path);
    return ReadyNotices(std::move(*socket));
}

std::optional<pid_t> ReadyNotices::take() {
    std::array<char, 256> bytes{};
    for (;;) {
        const ssize_t taken = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (taken < 0) return {};
        const std::string_view text(bytes.data(), static_cast<std::size_t>(taken));
        if (!text.starts_with(kReady)) continue;
        pid_t pid = 0;
        const char* const end = text.data() + std::min(text.find('\n', kReady.size()), text.size());
        const auto [rest, problem] = std::from_chars(text.data() + kReady.size(), end, pid);
        if (problem == std::errc() && rest == end) return pid;
    }
}

}  // namespace turnpike::net
