// HttpServerTest: a server on a Unix socket of its own, and raw sockets to talk to it with.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "config/base/unique_handle.h"
#include "config/net/http_client.h"
#include "config/net/http_server.h"
#include "tests/support/temp_dir.h"

namespace turnpike::net {

inline UniqueFd connect_unix(const std::string& path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        fd.reset();
    const timeval limit{10, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

inline void send_text(const UniqueFd& fd, const std::string& text) {
    ASSERT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
}

// Reads until `marker` has come or the stream ends.
inline std::string read_until(const UniqueFd& fd, const std::string& marker) {
    std::string seen;
    char buffer[4096];
    while (seen.find(marker) == std::string::npos) {
        const ssize_t taken = ::recv(fd.get(), buffer, sizeof buffer, 0);
        if (taken <= 0) break;
        seen.append(buffer, static_cast<std::size_t>(taken));
    }
    return seen;
}

inline std::string read_all(const UniqueFd& fd) {
    return read_until(fd, "\x01 never sent");
}

class HttpServerTest : public testing::Test {
  protected:
    void TearDown() override { server_.reset(); }

    HttpServerOptions options() const {
        HttpServerOptions options;
        options.address = NetAddress{path_, "", 0};
        options.max_body_bytes = 1000;
        options.drain_timeout = std::chrono::milliseconds(300);
        return options;
    }

    void serve(HttpHandler handler, const HttpServerOptions& options) {
        auto server = HttpServer::start(options, std::move(handler), log_);
        ASSERT_TRUE(server.has_value()) << server.error().message;
        server_ = std::move(*server);
    }

    void serve(HttpHandler handler, int num_threads = 1) {
        HttpServerOptions chosen = options();
        chosen.num_threads = num_threads;
        serve(std::move(handler), chosen);
    }

    HttpClient client() const {
        HttpClientOptions chosen;
        chosen.address = NetAddress{path_, "", 0};
        return HttpClient(chosen);
    }

    static void echo(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
        reply->respond({200, {{"x-method", request.method}}, request.target + "|" + request.body});
    }

    test::TempDir dir_;
    const std::string path_ = dir_.file("s.sock");
    SystemClock clock_;
    Log log_{clock_, "test", LogLevel::kError};
    std::unique_ptr<HttpServer> server_;
};

}  // namespace turnpike::net
