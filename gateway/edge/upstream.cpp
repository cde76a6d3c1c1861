#include "gateway/edge/upstream.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "config/base/limits.h"
#include "config/net/address.h"
#include "engine/api/meter_line.h"
#include "gateway/edge/tls_io.h"

namespace turnpike::gateway {
namespace {

constexpr std::size_t kMaxRecordBytes = 16 * 1024;  // of TLS

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

Result<net::Ssl> make_ssl(SSL_CTX* context, const std::string& address, int fd) {
    if (context == nullptr)
        return invalid_argument("'upstream_tls' expected for " + address + ", found none");
    net::Ssl ssl(SSL_new(context));
    if (ssl == nullptr || SSL_set_fd(ssl.get(), fd) != 1)
        return Error{ErrorCode::kInternal, "cannot start TLS: " + net::take_ssl_error(), {}};
    RETURN_IF_ERROR(net::set_server_name(*ssl, std::string(engine::kEngineServerName)));
    SSL_set_connect_state(ssl.get());
    return ssl;
}

}  // namespace

Upstream::Upstream(std::string address, FdWatch watch, net::Ssl ssl, bool is_open)
    : address_(std::move(address)),
      watch_(std::move(watch)),
      ssl_(std::move(ssl)),
      buffer_(limits::kRelayBufferBytes),
      is_open_(is_open) {}

Result<std::unique_ptr<Upstream>> Upstream::connect(Loop& loop,
                                                    const std::string& address,
                                                    SSL_CTX* tls) {
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
    net::Ssl ssl;
    if (parsed->is_tls) {
        auto made = make_ssl(tls, address, fd.get());
        RETURN_IF_ERROR(made);
        ssl = std::move(*made);
    }
    const auto* name = reinterpret_cast<const sockaddr*>(&target->storage);
    const bool is_connected = ::connect(fd.get(), name, target->length) == 0;
    if (!is_connected && errno != EINPROGRESS) return errno_error("cannot connect to " + address);
    auto watch = FdWatch::make(loop, std::move(fd));
    RETURN_IF_ERROR(watch);
    const bool is_open = is_connected && ssl == nullptr;
    return std::unique_ptr<Upstream>(
        new Upstream(address, std::move(*watch), std::move(ssl), is_open));
}

Result<IoResult::Status> Upstream::open() {
    if (!std::exchange(is_connected_, true)) {
        int problem = 0;
        socklen_t size = sizeof problem;
        ::getsockopt(watch_.fd(), SOL_SOCKET, SO_ERROR, &problem, &size);
        errno = problem;
        if (problem != 0) return errno_error("cannot connect to " + address_);
    }
    if (ssl_ != nullptr) {
        const auto status = shake_hands();
        if (!status || *status != IoResult::Status::kOk) return status;
    }
    is_open_ = true;
    return IoResult::Status::kOk;
}

Result<IoResult::Status> Upstream::shake_hands() {
    ERR_clear_error();
    const IoResult done = tls_outcome(*ssl_, SSL_do_handshake(ssl_.get()), 0);
    switch (done.status) {
        case IoResult::Status::kEnd:
            return Error{ErrorCode::kIo, address_ + " closed the connection", {}};
        case IoResult::Status::kFailed:
            break;
        default:
            return done.status;
    }
    const std::string reason = net::take_ssl_error();
    const long verify = SSL_get_verify_result(ssl_.get());
    if (verify == X509_V_OK)
        return Error{ErrorCode::kIo, "TLS with " + address_ + " failed: " + reason, {}};
    return Error{ErrorCode::kIo,
                 "the certificate of " + address_ +
                     " is not accepted: " + X509_verify_cert_error_string(verify),
                 {}};
}

IoResult Upstream::write_tls(std::string_view head, std::string_view body, std::size_t offset) {
    // The head goes into one record with what follows it.
    std::string record;
    std::string_view bytes;
    if (offset < head.size()) {
        record = head.substr(offset);
        if (record.size() < kMaxRecordBytes)
            record += body.substr(0, kMaxRecordBytes - record.size());
        bytes = record;
    } else {
        bytes = body.substr(offset - head.size());
    }
    ERR_clear_error();
    std::size_t num_bytes = 0;
    const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &num_bytes);
    const IoResult done = tls_outcome(*ssl_, result, num_bytes);
    is_broken_ = is_broken_ || done.status == IoResult::Status::kFailed;
    return done;
}

IoResult Upstream::write(std::string_view head, std::string_view body, std::size_t offset) {
    if (ssl_ != nullptr) return write_tls(head, body, offset);
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

IoResult Upstream::read_tls(std::span<char> space) {
    ERR_clear_error();
    std::size_t num_bytes = 0;
    const int result = SSL_read_ex(ssl_.get(), space.data(), space.size(), &num_bytes);
    buffer_.commit(num_bytes);
    const IoResult done = tls_outcome(*ssl_, result, num_bytes);
    is_broken_ = is_broken_ || done.status == IoResult::Status::kFailed;
    return done;
}

IoResult Upstream::read(std::size_t min_free) {
    const std::span<char> space = buffer_.prepare(min_free);
    if (ssl_ != nullptr) return read_tls(space);
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
    if (ssl_ != nullptr && !is_broken_) {
        // When it does not fit into the socket, FIN alone says the same.
        ERR_clear_error();
        SSL_shutdown(ssl_.get());
        ERR_clear_error();
    }
    ::shutdown(watch_.fd(), SHUT_WR);
}

bool Upstream::is_idle_alive() const {
    if (ssl_ != nullptr && SSL_has_pending(ssl_.get()) == 1) return false;
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
