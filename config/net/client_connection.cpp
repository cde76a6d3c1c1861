#include "config/net/client_connection.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <utility>

#include "config/base/clock.h"

namespace turnpike::net {
namespace {

using AddressList = UniqueHandle<addrinfo*, &::freeaddrinfo>;

Result<UniqueFd> new_socket(int family) {
    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) return errno_error("cannot make a socket");
    return fd;
}

int milliseconds_until(ClientConnection::Deadline deadline,
                       std::chrono::steady_clock::time_point now) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now).count();
    return left <= 0 ? 0 : static_cast<int>(std::min<std::int64_t>(left, 1'000'000'000));
}

}  // namespace

ClientConnection::ClientConnection(UniqueFd fd, int cancel_fd, std::string peer)
    : fd_(std::move(fd)), cancel_fd_(cancel_fd), peer_(std::move(peer)) {}

Error ClientConnection::failure(const std::string& what) const {
    return errno_error(what + " " + peer_);
}

Result<ClientConnection> ClientConnection::open(const HttpClientOptions& options,
                                                int cancel_fd,
                                                Deadline deadline) {
    ClientConnection connection(UniqueFd(), cancel_fd, to_string(options.address));
    if (options.address.is_tls && !options.use_tls)
        return invalid_argument("no TLS certificate of our own is set for " + connection.peer_);
    RETURN_IF_ERROR(connection.connect_socket(options, deadline));
    if (options.use_tls) RETURN_IF_ERROR(connection.start_tls(options, deadline));
    return connection;
}

Status ClientConnection::wait(short events, Deadline deadline) {
    pollfd fds[2] = {{fd_.get(), events, 0}, {cancel_fd_, POLLIN, 0}};
    for (;;) {
        const int timeout_ms = milliseconds_until(deadline, SystemClock().steady_now());
        const int ready = ::poll(fds, 2, timeout_ms);
        if (ready < 0 && errno == EINTR) continue;
        if (ready < 0) return failure("cannot wait for");
        if (ready == 0) return Error{ErrorCode::kTimeout, "no answer in time from " + peer_, {}};
        if (fds[1].revents != 0)
            return Error{ErrorCode::kIo, "cancelled while talking to " + peer_, {}};
        return {};
    }
}

Status ClientConnection::connect_socket(const HttpClientOptions& options, Deadline deadline) {
    const auto not_connected = [this] {
        return Error{ErrorCode::kUnavailable, failure("cannot connect to").message, {}};
    };
    const auto finish = [&](const sockaddr* address, socklen_t length) -> Status {
        auto fd = new_socket(address->sa_family);
        RETURN_IF_ERROR(fd);
        fd_ = std::move(*fd);
        if (::connect(fd_.get(), address, length) == 0) return {};
        if (errno != EINPROGRESS) return not_connected();
        RETURN_IF_ERROR(wait(POLLOUT, deadline));
        socklen_t size = sizeof errno;
        int problem = 0;
        ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &problem, &size);
        errno = problem;
        return problem == 0 ? Status() : Status(not_connected());
    };
    if (options.address.is_unix()) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string& path = options.address.unix_path;
        if (path.size() >= sizeof address.sun_path)
            return invalid_argument("Unix socket path too long: " + path);
        std::memcpy(address.sun_path, path.data(), path.size());
        return finish(reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const std::string port = std::to_string(options.address.port);
    const int problem = ::getaddrinfo(options.address.host.c_str(), port.c_str(), &hints, &found);
    if (problem != 0) {
        return Error{
            ErrorCode::kIo, "cannot resolve " + peer_ + ": " + ::gai_strerror(problem), {}};
    }
    const AddressList list(found);
    Status last = Error{ErrorCode::kIo, "no address for " + peer_, {}};
    for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
        last = finish(entry->ai_addr, entry->ai_addrlen);
        if (!last) continue;
        const int on = 1;
        ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        break;
    }
    return last;
}

Status ClientConnection::wait_for_tls(int result, Deadline deadline) {
    const int reason = SSL_get_error(ssl_.get(), result);
    if (reason == SSL_ERROR_WANT_READ) return wait(POLLIN, deadline);
    if (reason == SSL_ERROR_WANT_WRITE) return wait(POLLOUT, deadline);
    if (reason == SSL_ERROR_SYSCALL) return failure("lost the connection to");
    // A peer that ends without saying so may have been cut short: never the end of a reply.
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        return Error{ErrorCode::kIo, peer_ + " closed the connection in the middle", {}};
    }
    return Error{ErrorCode::kIo, "TLS with " + peer_ + " failed: " + take_ssl_error(), {}};
}

Status ClientConnection::start_tls(const HttpClientOptions& options, Deadline deadline) {
    auto context = make_client_context(tls_files(options));
    RETURN_IF_ERROR(context);
    context_ = std::move(*context);
    ssl_.reset(SSL_new(context_.get()));
    if (ssl_ == nullptr || SSL_set_fd(ssl_.get(), fd_.get()) != 1) {
        return Error{ErrorCode::kInternal, "cannot start TLS: " + take_ssl_error(), {}};
    }
    const std::string& name =
        options.server_name.empty() ? options.address.host : options.server_name;
    RETURN_IF_ERROR(set_server_name(*ssl_, name));
    for (;;) {
        ERR_clear_error();
        const int result = SSL_connect(ssl_.get());
        if (result == 1) return {};
        if (const Status status = wait_for_tls(result, deadline); !status) {
            const long verify = SSL_get_verify_result(ssl_.get());
            if (verify == X509_V_OK) return status;
            return Error{ErrorCode::kIo,
                         "the certificate of " + peer_ +
                             " is not accepted: " + X509_verify_cert_error_string(verify),
                         {}};
        }
    }
}

Status ClientConnection::write_all(std::string_view bytes, Deadline deadline) {
    while (!bytes.empty()) {
        if (ssl_ != nullptr) {
            ERR_clear_error();
            std::size_t written = 0;
            const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
            if (result == 1) {
                bytes.remove_prefix(written);
            } else {
                RETURN_IF_ERROR(wait_for_tls(result, deadline));
            }
            continue;
        }
        const ssize_t written = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (written >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {
            RETURN_IF_ERROR(wait(POLLOUT, deadline));
        } else if (errno != EINTR) {
            return failure("cannot send to");
        }
    }
    return {};
}

Result<std::size_t> ClientConnection::read_some(std::span<char> buffer, Deadline deadline) {
    for (;;) {
        if (ssl_ != nullptr) {
            ERR_clear_error();
            std::size_t taken = 0;
            const int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &taken);
            if (result == 1) return taken;
            if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN) return std::size_t{0};
            RETURN_IF_ERROR(wait_for_tls(result, deadline));
            continue;
        }
        const ssize_t taken = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
        if (taken >= 0) return static_cast<std::size_t>(taken);
        if (errno == EAGAIN) {
            RETURN_IF_ERROR(wait(POLLIN, deadline));
        } else if (errno != EINTR) {
            return failure("cannot read from");
        }
    }
}

}  // namespace turnpike::net
