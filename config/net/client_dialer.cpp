#include "config/net/client_dialer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <cerrno>

#include "config/base/clock.h"
#include "config/net/client_connection.h"

namespace turnpike::net {

Result<ClientDialer> ClientDialer::make(const HttpClientOptions& options) {
    const auto deadline = SystemClock().steady_now() + options.connect_timeout;
    const auto probe = ClientConnection::open(options, /*cancel_fd=*/-1, deadline);
    RETURN_IF_ERROR(probe);
    ClientDialer dialer(options);
    dialer.address_length_ = sizeof dialer.address_;
    auto* address = reinterpret_cast<sockaddr*>(&dialer.address_);
    if (::getpeername(probe->fd(), address, &dialer.address_length_) != 0)
        return errno_error("cannot tell the address of " + to_string(options.address));
    if (options.use_tls) {
        auto context = make_client_context(tls_files(options));
        RETURN_IF_ERROR(context);
        dialer.context_ = std::move(*context);
    }
    return dialer;
}

Result<DialedStream> ClientDialer::dial() const {
    DialedStream stream;
    stream.peer_ = to_string(options_.address);
    const int family = address_.ss_family;
    stream.fd_ = UniqueFd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!stream.fd_.is_open()) return errno_error("cannot make a socket");
    if (family != AF_UNIX) {
        const int on = 1;
        ::setsockopt(stream.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    const auto* address = reinterpret_cast<const sockaddr*>(&address_);
    stream.is_connected_ = ::connect(stream.fd(), address, address_length_) == 0;
    if (!stream.is_connected_ && errno == EAGAIN)
        return Error{
            ErrorCode::kUnavailable, "the accept queue of " + stream.peer_ + " is full", {}};
    if (!stream.is_connected_ && errno != EINPROGRESS) return stream.failure("cannot connect to");
    if (!options_.use_tls) return stream;
    stream.ssl_.reset(SSL_new(context_.get()));
    if (stream.ssl_ == nullptr || SSL_set_fd(stream.ssl_.get(), stream.fd()) != 1)
        return Error{ErrorCode::kInternal, "cannot start TLS: " + take_ssl_error(), {}};
    const std::string& name =
        options_.server_name.empty() ? options_.address.host : options_.server_name;
    RETURN_IF_ERROR(set_server_name(*stream.ssl_, name));
    return stream;
}

Error DialedStream::failure(const std::string& what) const {
    return errno_error(what + " " + peer_);
}

Result<IoNeed> DialedStream::need_of_tls(int result) {
    const int reason = SSL_get_error(ssl_.get(), result);
    if (reason == SSL_ERROR_WANT_READ) return IoNeed::kReadable;
    if (reason == SSL_ERROR_WANT_WRITE) return IoNeed::kWritable;
    if (reason == SSL_ERROR_SYSCALL) return failure("lost the connection to");
    // A peer that ends without saying so may have been cut short: never the end of a reply.
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        return Error{ErrorCode::kIo, peer_ + " closed the connection in the middle", {}};
    }
    if (const long verify = SSL_get_verify_result(ssl_.get()); verify != X509_V_OK) {
        ERR_clear_error();
        return Error{ErrorCode::kIo,
                     "the certificate of " + peer_ +
                         " is not accepted: " + X509_verify_cert_error_string(verify),
                     {}};
    }
    return Error{ErrorCode::kIo, "TLS with " + peer_ + " failed: " + take_ssl_error(), {}};
}

Result<IoNeed> DialedStream::open() {
    if (is_open_) return IoNeed::kNone;
    if (!is_connected_) {
        int problem = 0;
        socklen_t size = sizeof problem;
        ::getsockopt(fd(), SOL_SOCKET, SO_ERROR, &problem, &size);
        errno = problem;
        if (problem != 0) return failure("cannot connect to");
        sockaddr_storage peer{};
        size = sizeof peer;
        if (::getpeername(fd(), reinterpret_cast<sockaddr*>(&peer), &size) != 0)
            return IoNeed::kWritable;
        is_connected_ = true;
    }
    if (ssl_ != nullptr) {
        ERR_clear_error();
        if (const int result = SSL_connect(ssl_.get()); result != 1) return need_of_tls(result);
    }
    is_open_ = true;
    return IoNeed::kNone;
}

Result<IoProgress> DialedStream::write(std::string_view bytes) {
    if (ssl_ != nullptr) {
        ERR_clear_error();
        std::size_t written = 0;
        const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
        if (result == 1) return IoProgress{written, IoNeed::kNone, false};
        const auto need = need_of_tls(result);
        RETURN_IF_ERROR(need);
        return IoProgress{0, *need, false};
    }
    for (;;) {
        const ssize_t written = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (written >= 0)
            return IoProgress{static_cast<std::size_t>(written), IoNeed::kNone, false};
        if (errno == EAGAIN) return IoProgress{0, IoNeed::kWritable, false};
        if (errno != EINTR) return failure("cannot send to");
    }
}

Result<IoProgress> DialedStream::read(std::span<char> buffer) {
    if (ssl_ != nullptr) {
        ERR_clear_error();
        std::size_t taken = 0;
        const int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &taken);
        if (result == 1) return IoProgress{taken, IoNeed::kNone, false};
        if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN)
            return IoProgress{0, IoNeed::kNone, true};
        const auto need = need_of_tls(result);
        RETURN_IF_ERROR(need);
        return IoProgress{0, *need, false};
    }
    for (;;) {
        const ssize_t taken = ::recv(fd(), buffer.data(), buffer.size(), 0);
        if (taken == 0) return IoProgress{0, IoNeed::kNone, true};
        if (taken > 0) {
            // A short read has emptied the socket.
            const auto count = static_cast<std::size_t>(taken);
            const bool is_empty = count < buffer.size();
            return IoProgress{count, is_empty ? IoNeed::kReadable : IoNeed::kNone, false};
        }
        if (errno == EAGAIN) return IoProgress{0, IoNeed::kReadable, false};
        if (errno != EINTR) return failure("cannot read from");
    }
}

}  // namespace turnpike::net
