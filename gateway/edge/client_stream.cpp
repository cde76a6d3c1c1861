#include "gateway/edge/client_stream.h"

#include <openssl/err.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "gateway/edge/tls_io.h"

namespace turnpike::gateway {

using Io = IoResult::Status;

Result<ClientStream> ClientStream::make(SSL_CTX& context, FdWatch watch) {
    net::Ssl ssl(SSL_new(&context));
    if (ssl == nullptr || SSL_set_fd(ssl.get(), watch.fd()) != 1) {
        return Error{ErrorCode::kInternal, "cannot start TLS: " + net::take_ssl_error(), {}};
    }
    SSL_set_accept_state(ssl.get());
    return ClientStream(std::move(ssl), std::move(watch));
}

IoResult ClientStream::handshake() {
    ERR_clear_error();
    const IoResult done = tls_outcome(*ssl_, SSL_do_handshake(ssl_.get()), 0);
    is_broken_ = done.status == Io::kFailed || done.status == Io::kEnd;
    return done;
}

IoResult ClientStream::read(std::span<char> space) {
    ERR_clear_error();
    std::size_t num_bytes = 0;
    const int result = SSL_read_ex(ssl_.get(), space.data(), space.size(), &num_bytes);
    const IoResult done = tls_outcome(*ssl_, result, num_bytes);
    is_broken_ = is_broken_ || done.status == Io::kFailed;
    return done;
}

IoResult ClientStream::write(std::string_view bytes) {
    ERR_clear_error();
    std::size_t num_bytes = 0;
    const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &num_bytes);
    const IoResult done = tls_outcome(*ssl_, result, num_bytes);
    is_broken_ = is_broken_ || done.status == Io::kFailed;
    return done;
}

void ClientStream::shut_down() {
    // OpenSSL forbids SSL_shutdown after a fatal error.
    if (!is_broken_) {
        ERR_clear_error();
        SSL_shutdown(ssl_.get());
        ERR_clear_error();
    }
    ::shutdown(watch_.fd(), SHUT_WR);
}

bool ClientStream::discard() {
    std::array<char, 16 * 1024> buffer;
    // A bound, so that a fast sender cannot hold the thread.
    for (int i = 0; i < 16; ++i) {
        const ssize_t num_bytes = ::recv(watch_.fd(), buffer.data(), buffer.size(), 0);
        if (num_bytes > 0) continue;
        return num_bytes < 0 && (errno == EAGAIN || errno == EINTR);
    }
    return true;
}

}  // namespace turnpike::gateway
