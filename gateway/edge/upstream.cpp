#include "gateway/edge/upstream.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "config/base/limits.h"
#include "config/net/address.h"

namespace turnpike::gateway {
namespace {

// Below limits::kIdleTimeout, after which the engine closes: it should be us who closes first.
constexpr auto kMaxIdleTime = limits::kIdleTimeout - std::chrono::seconds(15);

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;
};

Result<SocketAddress> to_socket_address(const net::NetAddress& address) {
    SocketAddress result;
    if (address.is_unix()) {
        auto* unix_address = reinterpret_cast<sockaddr_un*>(&result.storage);
        unix_address->sun_family = AF_UNIX;
        // parse_address() bounds the length.
        std::memcpy(unix_address->sun_path, address.unix_path.data(), address.unix_path.size());
        result.length = sizeof(sockaddr_un);
        return result;
    }
    auto* v4 = reinterpret_cast<sockaddr_in*>(&result.storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&result.storage);
    if (::inet_pton(AF_INET, address.host.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(address.port);
        result.length = sizeof(sockaddr_in);
    } else if (::inet_pton(AF_INET6, address.host.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(address.port);
        result.length = sizeof(sockaddr_in6);
    } else {
        return invalid_argument("expected a replica's numeric address, found " + address.host);
    }
    return result;
}

IoResult failed_io() {
    return {IoResult::Status::kFailed, 0};
}

}  // namespace

Upstream::Upstream(std::string address, FdWatch watch, bool is_connecting)
    : address_(std::move(address)),
      watch_(std::move(watch)),
      buffer_(limits::kRelayBufferBytes),
      is_connecting_(is_connecting) {}

Result<std::unique_ptr<Upstream>> Upstream::connect(Loop& loop, const std::string& address) {
    const auto parsed = net::parse_address(address);
    RETURN_IF_ERROR(parsed);
    const auto target = to_socket_address(*parsed);
    RETURN_IF_ERROR(target);
    const int family = target->storage.ss_family;
    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) return errno_error("cannot make a socket");
    if (family != AF_UNIX) {
        const int on = 1;
        ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    const auto* name = reinterpret_cast<const sockaddr*>(&target->storage);
    const bool is_connected = ::connect(fd.get(), name, target->length) == 0;
    if (!is_connected && errno != EINPROGRESS) return errno_error("cannot connect to " + address);
    auto watch = FdWatch::make(loop, std::move(fd));
    RETURN_IF_ERROR(watch);
    return std::unique_ptr<Upstream>(new Upstream(address, std::move(*watch), !is_connected));
}

Status Upstream::finish_connect() {
    int problem = 0;
    socklen_t size = sizeof problem;
    ::getsockopt(watch_.fd(), SOL_SOCKET, SO_ERROR, &problem, &size);
    errno = problem;
    if (problem != 0) return errno_error("cannot connect to " + address_);
    is_connecting_ = false;
    return {};
}

IoResult Upstream::write(std::string_view head, std::string_view body, std::size_t offset) {
    std::array<iovec, 2> parts{};
    std::size_t num_parts = 0;
    for (std::string_view part : {head, body}) {
        const std::size_t skipped = std::min(offset, part.size());
        offset -= skipped;
        part.remove_prefix(skipped);
        if (part.empty()) continue;
        parts[num_parts++] = {const_cast<char*>(part.data()), part.size()};
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = num_parts;
    const ssize_t num_bytes = ::sendmsg(watch_.fd(), &message, MSG_NOSIGNAL);
    if (num_bytes >= 0) return {IoResult::Status::kOk, static_cast<std::size_t>(num_bytes)};
    if (errno == EAGAIN || errno == EINTR) return {IoResult::Status::kWouldWrite, 0};
    return failed_io();
}

IoResult Upstream::read(std::size_t min_free) {
    const std::span<char> space = buffer_.prepare(min_free);
    const ssize_t num_bytes = ::recv(watch_.fd(), space.data(), space.size(), 0);
    if (num_bytes > 0) {
        buffer_.commit(static_cast<std::size_t>(num_bytes));
        return {IoResult::Status::kOk, static_cast<std::size_t>(num_bytes)};
    }
    if (num_bytes == 0) return {IoResult::Status::kEnd, 0};
    if (errno == EAGAIN || errno == EINTR) return {IoResult::Status::kWouldRead, 0};
    return failed_io();
}

void Upstream::half_close() {
    ::shutdown(watch_.fd(), SHUT_WR);
}

bool Upstream::is_idle_alive() const {
    char byte = 0;
    const ssize_t num_bytes = ::recv(watch_.fd(), &byte, 1, MSG_PEEK);
    return num_bytes < 0 && errno == EAGAIN;
}

std::unique_ptr<Upstream> UpstreamPool::take(const std::string& address) {
    const auto entry = idle_.find(address);
    if (entry == idle_.end()) return nullptr;
    while (!entry->second.empty()) {
        std::unique_ptr<Upstream> upstream = std::move(entry->second.back());
        entry->second.pop_back();
        if (upstream->is_idle_alive()) return upstream;
    }
    return nullptr;
}

void UpstreamPool::give_back(std::unique_ptr<Upstream> upstream, SteadyTime now) {
    CHECK(upstream->buffer_.empty());
    auto& connections = idle_[upstream->address_];
    if (connections.size() >= limits::kMaxIdleUpstreamsPerReplica) return;
    upstream->watch_.set_sink(nullptr, 0, 0);
    upstream->buffer_.shrink();
    upstream->is_reused_ = true;
    upstream->idle_since_ = now;
    connections.push_back(std::move(upstream));
}

void UpstreamPool::sweep(SteadyTime now) {
    for (auto entry = idle_.begin(); entry != idle_.end();) {
        std::erase_if(entry->second, [now](const std::unique_ptr<Upstream>& upstream) {
            return now - upstream->idle_since_ > kMaxIdleTime;
        });
        entry = entry->second.empty() ? idle_.erase(entry) : std::next(entry);
    }
}

std::size_t UpstreamPool::size() const {
    std::size_t count = 0;
    for (const auto& [address, connections] : idle_) count += connections.size();
    return count;
}

}  // namespace turnpike::gateway
