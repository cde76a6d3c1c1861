// The server against clients that are slow, stuck, too large or in the way.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <future>
#include <vector>

#include "tests/unit/config/net/server_fixture.h"

namespace turnpike::net {
namespace {

using std::chrono::milliseconds;

using HttpServerFaults = HttpServerTest;

TEST_F(HttpServerFaults, ASlowHeadIsA408AndSilenceIsClosed) {
    HttpServerOptions chosen = options();
    chosen.head_timeout = milliseconds(30);
    serve(&echo, chosen);
    const UniqueFd slow = connect_unix(path_);
    send_text(slow, "GET / HT");
    const std::string refusal = read_all(slow);
    EXPECT_EQ(refusal.substr(9, 3), "408");
    EXPECT_NE(refusal.find(R"("code":"timeout"}})"), std::string::npos) << refusal;
    EXPECT_EQ(read_all(connect_unix(path_)), "");
}

TEST_F(HttpServerFaults, ASlowBodyIsA408) {
    HttpServerOptions chosen = options();
    chosen.body_timeout = milliseconds(30);
    serve(&echo, chosen);
    const UniqueFd slow = connect_unix(path_);
    send_text(slow, "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nabc");
    EXPECT_EQ(read_all(slow).substr(9, 3), "408");
}

TEST_F(HttpServerFaults, AnIdleConnectionIsClosedAfterItsTime) {
    HttpServerOptions chosen = options();
    chosen.idle_timeout = milliseconds(30);
    serve(&echo, chosen);
    const UniqueFd fd = connect_unix(path_);
    send_text(fd, "GET /a HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(read_all(fd).ends_with("/a|"));
}

TEST_F(HttpServerFaults, AHandlerMayTakeLongerThanEveryDeadlineOfARequest) {
    HttpServerOptions chosen = options();
    chosen.head_timeout = chosen.body_timeout = chosen.idle_timeout = milliseconds(5);
    std::promise<std::shared_ptr<HttpReply>> kept;
    serve([&](const HttpRequest&,
              std::shared_ptr<HttpReply> reply) { kept.set_value(std::move(reply)); },
          chosen);
    const UniqueFd fd = connect_unix(path_);
    send_text(fd, "GET / HTTP/1.1\r\n\r\n");
    const auto reply = kept.get_future().get();
    // Another connection that is closed for its silence proves that the deadline has passed.
    EXPECT_EQ(read_all(connect_unix(path_)), "");
    EXPECT_FALSE(reply->is_client_gone());
    reply->respond({200, {}, "late"});
    EXPECT_NE(read_until(fd, "late").find("200 OK"), std::string::npos);
}

TEST_F(HttpServerFaults, AClientThatTakesNothingIsGoneAfterAWhile) {
    HttpServerOptions chosen = options();
    chosen.stall_timeout = milliseconds(50);
    std::promise<void> gone;
    serve(
        [&](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
            reply->on_client_gone([&gone] { gone.set_value(); });
            reply->start(200, {});
            const std::string chunk(100'000, 'x');
            while (reply->write(chunk)) {
            }
        },
        chosen);
    const UniqueFd fd = connect_unix(path_);
    send_text(fd, "GET / HTTP/1.1\r\n\r\n");  // and never reads
    EXPECT_EQ(gone.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

TEST_F(HttpServerFaults, ARefusalReachesAClientThatStillSends) {
    serve(&echo);
    HttpClient http = client();
    const auto refused = http.send({"POST", "/", {}, std::string(4'000'000, 'x')});
    ASSERT_TRUE(refused.has_value()) << refused.error().message;
    EXPECT_EQ(refused->status, 413);
    EXPECT_EQ(http.send({"GET", "/next", {}, ""}).value().body, "/next|");
}

TEST_F(HttpServerFaults, TooManyHeaderFieldsAreA431) {
    serve(&echo);
    const auto status_with = [&](std::size_t num_fields) {
        std::string head = "GET / HTTP/1.1\r\nconnection: close\r\n";
        for (std::size_t i = 1; i < num_fields; ++i) head += "x-a: b\r\n";
        const UniqueFd fd = connect_unix(path_);
        send_text(fd, head + "\r\n");
        return read_all(fd).substr(9, 3);
    };
    EXPECT_EQ(status_with(limits::kMaxHeaderFields), "200");
    EXPECT_EQ(status_with(limits::kMaxHeaderFields + 1), "431");
}

TEST_F(HttpServerFaults, ContinueIsNotCountedAsBacklog) {
    std::promise<std::shared_ptr<HttpReply>> kept;
    serve([&](const HttpRequest&, std::shared_ptr<HttpReply> reply) {
        kept.set_value(std::move(reply));
    });
    const UniqueFd fd = connect_unix(path_);
    send_text(fd, "POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\nx");
    send_text(fd, "GET / HTTP/1.1\r\n");
    const auto reply = kept.get_future().get();
    EXPECT_EQ(reply->backlog_bytes(), 0U);
    reply->start(200, {});
    EXPECT_TRUE(reply->write("one"));
    reply->finish();
    EXPECT_NE(read_until(fd, "0\r\n\r\n").find("one"), std::string::npos);
}

TEST_F(HttpServerFaults, AReplyDroppedInTheMiddleEndsTheConnection) {
    serve([](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
        reply->start(200, {});
        reply->write("half");
    });
    const UniqueFd fd = connect_unix(path_);
    send_text(fd, "GET / HTTP/1.1\r\n\r\n");
    const std::string seen = read_all(fd);
    EXPECT_TRUE(seen.ends_with("4\r\nhalf\r\n")) << seen;
}

TEST_F(HttpServerFaults, NothingFollowsTheEndOfAReply) {
    serve([](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
        reply->start(200, {});
        reply->finish();
        EXPECT_FALSE(reply->write("stray"));
        reply->finish();
        reply->respond({200, {}, "stray"});
    });
    const UniqueFd fd = connect_unix(path_);
    send_text(fd, "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nconnection: close\r\n\r\n");
    const std::string seen = read_all(fd);
    EXPECT_EQ(seen.find("stray"), std::string::npos) << seen;
    EXPECT_NE(seen.find("\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK"), std::string::npos) << seen;
}

TEST_F(HttpServerFaults, AReplyMayOutliveItsServer) {
    std::vector<std::shared_ptr<HttpReply>> kept;
    std::promise<void> has_both;
    serve([&](const HttpRequest& request, std::shared_ptr<HttpReply> reply) {
        if (request.target == "/started") reply->start(200, {});
        kept.push_back(std::move(reply));
        if (kept.size() == 2) has_both.set_value();
    });
    const UniqueFd first = connect_unix(path_);
    const UniqueFd second = connect_unix(path_);
    send_text(first, "GET /started HTTP/1.1\r\n\r\n");
    send_text(second, "GET /silent HTTP/1.1\r\n\r\n");
    has_both.get_future().wait();
    server_.reset();
    for (const auto& reply : kept) {
        EXPECT_TRUE(reply->is_client_gone());
        EXPECT_FALSE(reply->write("x"));
    }
    std::atomic<bool> was_told{false};
    kept.front()->on_client_gone([&] { was_told = true; });
    EXPECT_TRUE(was_told.load());
    kept.clear();
}

TEST_F(HttpServerFaults, TheSocketIsPrivateAndGoneAfterStop) {
    serve(&echo);

    struct stat info {};

    ASSERT_EQ(::stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
    server_->stop();
    EXPECT_NE(::stat(path_.c_str(), &info), 0);
}

TEST_F(HttpServerFaults, AFileInTheWayIsNotReplaced) {
    HttpServerOptions chosen = options();
    chosen.address.unix_path = dir_.file("file");
    const UniqueFd file(::open(chosen.address.unix_path.c_str(), O_CREAT | O_WRONLY, 0600));
    const auto server = HttpServer::start(chosen, &echo, log_);
    ASSERT_FALSE(server.has_value());
    EXPECT_EQ(server.error().code, ErrorCode::kConflict);
}

TEST_F(HttpServerFaults, ATcpPortThatIsTakenOrUnknownIsAnError) {
    HttpServerOptions chosen = options();
    chosen.address = NetAddress{"", "127.0.0.1", 0};
    serve(&echo, chosen);
    HttpClientOptions client_options;
    client_options.address = server_->address();
    EXPECT_NE(client_options.address.port, 0);
    HttpClient http(client_options);
    EXPECT_EQ(http.send({"GET", "/tcp", {}, ""}).value().body, "/tcp|");
    chosen.address = server_->address();
    EXPECT_EQ(HttpServer::start(chosen, &echo, log_).error().code, ErrorCode::kConflict);
    chosen.address.host = "no-address";
    EXPECT_EQ(HttpServer::start(chosen, &echo, log_).error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace turnpike::net
