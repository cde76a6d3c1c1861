#include "tests/support/tls_client.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "config/base/check.h"

namespace turnpike::test {
namespace {

constexpr timeval kReadLimit{20, 0};

std::string lower(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return result;
}

}  // namespace

std::string RawResponse::header(std::string_view name) const {
    const std::string wanted = "\r\n" + lower(name) + ": ";
    const std::size_t at = lower(head).find(wanted);
    if (at == std::string::npos) return {};
    const std::size_t begin = at + wanted.size();
    return head.substr(begin, head.find("\r\n", begin) - begin);
}

TlsClient::TlsClient(std::uint16_t port, int receive_buffer_bytes)
    : context_(SSL_CTX_new(TLS_client_method())),
      fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      ssl_(SSL_new(context_.get())) {
    if (receive_buffer_bytes > 0) {
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                     sizeof receive_buffer_bytes);
    }
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &kReadLimit, sizeof kReadLimit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    CHECK(SSL_set_fd(ssl_.get(), fd_.get()) == 1);
    CHECK(SSL_connect(ssl_.get()) == 1);
}

void TlsClient::send(std::string_view bytes) {
    ERR_clear_error();
    if (bytes.empty()) return;
    std::size_t written = 0;
    // A server that hung up shows in what is read.
    SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
}

bool TlsClient::fill() {
    ERR_clear_error();
    std::array<char, 16 * 1024> bytes;
    std::size_t taken = 0;
    if (SSL_read_ex(ssl_.get(), bytes.data(), bytes.size(), &taken) != 1) return false;
    buffer_.append(bytes.data(), taken);
    return true;
}

std::string TlsClient::read_until(std::string_view marker) {
    std::size_t at = std::string::npos;
    while ((at = buffer_.find(marker)) == std::string::npos) {
        if (!fill()) return std::exchange(buffer_, {});
    }
    std::string taken = buffer_.substr(0, at + marker.size());
    buffer_.erase(0, taken.size());
    return taken;
}

std::string TlsClient::read_to_end() {
    while (fill()) {
    }
    return std::exchange(buffer_, {});
}

std::string TlsClient::read_some(std::size_t max_bytes) {
    if (buffer_.empty() && !fill()) return {};
    std::string taken = buffer_.substr(0, max_bytes);
    buffer_.erase(0, taken.size());
    return taken;
}

RawResponse TlsClient::read_response() {
    RawResponse response;
    response.head = read_until("\r\n\r\n");
    if (!response.head.starts_with("HTTP/1.1 ")) return response;
    response.status = std::atoi(response.head.c_str() + 9);
    if (response.header("transfer-encoding") == "chunked") {
        for (;;) {
            const std::string line = read_until("\r\n");
            const std::size_t size = std::strtoul(line.c_str(), nullptr, 16);
            while (buffer_.size() < size + 2 && fill()) {
            }
            if (line.empty() || buffer_.size() < size + 2) return response;
            response.body += buffer_.substr(0, size);
            buffer_.erase(0, size + 2);
            if (size == 0) break;
        }
    } else if (const std::string length = response.header("content-length"); !length.empty()) {
        const std::size_t size = std::strtoul(length.c_str(), nullptr, 10);
        while (buffer_.size() < size) {
            if (!fill()) return response;
        }
        response.body = buffer_.substr(0, size);
        buffer_.erase(0, size);
    } else {
        response.body = read_to_end();
    }
    response.is_whole = true;
    return response;
}

void TlsClient::half_close() {
    SSL_shutdown(ssl_.get());
    ::shutdown(fd_.get(), SHUT_WR);
}

void TlsClient::reset() {
    const linger at_once{1, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
}

void TlsClient::close() {
    fd_.reset();
}

}  // namespace turnpike::test
