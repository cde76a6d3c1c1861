#include "config/net/server_stream.h"

#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

namespace turnpike::net {

namespace {

constexpr std::size_t kMaxParts = 64;               // of one call
constexpr std::size_t kMaxRecordBytes = 16 * 1024;  // of TLS

// Calls `take` with the rest of each piece until that returns false.
template <class Take>
void visit_rest(std::span<const std::string> pieces, std::size_t offset, const Take& take) {
    for (const std::string_view piece : pieces) {
        const std::size_t skipped = std::min(offset, piece.size());
        offset -= skipped;
        if (skipped < piece.size() && !take(piece.substr(skipped))) return;
    }
}

}  // namespace

ServerStream::ServerStream(int fd, Ssl ssl) : fd_(fd), ssl_(std::move(ssl)) {
    if (ssl_ == nullptr) return;
    CHECK(SSL_set_fd(ssl_.get(), fd_) == 1);
    SSL_set_accept_state(ssl_.get());
}

Result<IoNeed> ServerStream::need_of(int result) {
    switch (SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_WANT_READ:
            return IoNeed::kReadable;
        case SSL_ERROR_WANT_WRITE:
            return IoNeed::kWritable;
        default:
            break;
    }
    // OpenSSL forbids SSL_shutdown from now on.
    is_broken_ = true;
    return Error{ErrorCode::kIo, "TLS failed: " + take_ssl_error(), {}};
}

Result<IoNeed> ServerStream::handshake() {
    if (ssl_ == nullptr) return IoNeed::kNone;
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) return IoNeed::kNone;
    return need_of(result);
}

Result<IoProgress> ServerStream::read(std::span<char> space) {
    if (ssl_ != nullptr) {
        ERR_clear_error();
        std::size_t taken = 0;
        const int result = SSL_read_ex(ssl_.get(), space.data(), space.size(), &taken);
        if (result == 1) return IoProgress{taken, IoNeed::kNone, false};
        if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN)
            return IoProgress{0, IoNeed::kNone, true};
        const auto need = need_of(result);
        RETURN_IF_ERROR(need);
        return IoProgress{0, *need, false};
    }
    const ssize_t taken = ::recv(fd_, space.data(), space.size(), 0);
    if (taken >= 0) return IoProgress{static_cast<std::size_t>(taken), IoNeed::kNone, taken == 0};
    if (errno == EAGAIN || errno == EINTR) return IoProgress{0, IoNeed::kReadable, false};
    return errno_error("cannot read");
}

Result<IoProgress> ServerStream::write(std::span<const std::string> pieces, std::size_t offset) {
    if (ssl_ == nullptr) return write_plain(pieces, offset);
    // Pieces are small, and each record costs 22 bytes and a call: so one record takes many.
    std::string_view bytes;
    record_.clear();
    visit_rest(pieces, offset, [&](std::string_view rest) {
        if (bytes.empty() && record_.empty()) {
            bytes = rest;
            return rest.size() < kMaxRecordBytes;
        }
        if (record_.empty()) record_ = std::exchange(bytes, {});
        record_ += rest.substr(0, kMaxRecordBytes - record_.size());
        return record_.size() < kMaxRecordBytes;
    });
    if (!record_.empty()) bytes = record_;
    ERR_clear_error();
    std::size_t written = 0;
    const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
    if (result == 1) return IoProgress{written, IoNeed::kNone, false};
    const auto need = need_of(result);
    RETURN_IF_ERROR(need);
    return IoProgress{0, *need, false};
}

Result<IoProgress> ServerStream::write_plain(std::span<const std::string> pieces,
                                             std::size_t offset) const {
    std::array<iovec, kMaxParts> parts{};
    std::size_t num_parts = 0;
    visit_rest(pieces, offset, [&](std::string_view rest) {
        parts[num_parts++] = {const_cast<char*>(rest.data()), rest.size()};
        return num_parts < kMaxParts;
    });
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = num_parts;
    const ssize_t written = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (written >= 0) return IoProgress{static_cast<std::size_t>(written), IoNeed::kNone, false};
    if (errno == EAGAIN || errno == EINTR) return IoProgress{0, IoNeed::kWritable, false};
    return errno_error("cannot write");
}

bool ServerStream::has_pending() const {
    return ssl_ != nullptr && SSL_has_pending(ssl_.get()) == 1;
}

void ServerStream::shut_down() {
    if (std::exchange(is_shut_down_, true)) return;
    if (ssl_ != nullptr && !is_broken_) {
        ERR_clear_error();
        SSL_shutdown(ssl_.get());
        ERR_clear_error();
    }
    ::shutdown(fd_, SHUT_WR);
}

void ServerStream::refuse() {
    ssl_.reset();
    shut_down();
}

}  // namespace turnpike::net
