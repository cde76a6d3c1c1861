// The server against raw sockets and against the client: framing, bounds, half-close, keep-alive,
// drain.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstring>
#include <future>
#include <thread>

#include "tests/unit/config/net/server_fixture.h"

namespace turnpike::net {
namespace {

TEST_F(HttpServerTest, AnswersAndKeepsAlive) {
    serve(&echo);
    HttpClient http = client();
    for (int i = 0; i < 3; ++i) {
        const auto response = http.send({"POST", "/x?y=" + std::to_string(i), {}, "body"});
        ASSERT_TRUE(response.has_value()) << response.error().message;
        EXPECT_EQ(response->status, 200);
        EXPECT_EQ(response->body, "/x?y=" + std::to_string(i) + "|body");
        EXPECT_EQ(response->headers.get("X-Method"), "POST");
    }
}

TEST_F(HttpServerTest, AHeadMaySplitAnywhere) {
    serve(&echo);
    const UniqueFd fd = connect_unix(path_);
    const std::string request = "POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc";
    for (const char c : request) send_text(fd, std::string(1, c));
    EXPECT_NE(read_until(fd, "/a|abc").find("200 OK"), std::string::npos);
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
    serve(&echo);
    const UniqueFd fd = connect_unix(path_);
    send_text(fd,
              "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\nconnection: "
              "close\r\n\r\n");
    const std::string seen = read_all(fd);
    EXPECT_LT(seen.find("/1|"), seen.find("/2|"));
    EXPECT_LT(seen.find("/2|"), seen.find("/3|"));
    EXPECT_NE(seen.find("connection: close"), std::string::npos);
}

TEST_F(HttpServerTest, ARequestMayComeWhileTwoOthersWait) {
    std::promise<std::shared_ptr<HttpReply>> promise;
    serve([&](const HttpRequest& request, std::shared_ptr<HttpReply> reply) {
        if (request.target == "/1") return promise.set_value(std::move(reply));
        echo(request, reply);
    });
    const UniqueFd fd = connect_unix(path_);
    send_text(fd, "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
    const auto first = promise.get_future().get();
    // The server waits for more by now, with /2 in its buffer.
    first->respond({200, {}, "/1|"});
    EXPECT_TRUE(read_until(fd, "/2|").ends_with("/2|"));
    send_text(fd, "GET /3 HTTP/1.1\r\nconnection: close\r\n\r\n");
    const std::string rest = read_all(fd);
    EXPECT_NE(rest.find("200 OK"), std::string::npos) << rest;
    EXPECT_TRUE(rest.ends_with("/3|")) << rest;
}

TEST_F(HttpServerTest, BoundsAreAnsweredWithTheirStatus) {
    serve(&echo);
    const auto status_of = [&](const std::string& request) {
        const UniqueFd fd = connect_unix(path_);
        send_text(fd, request);
        return read_all(fd).substr(9, 3);
    };
    EXPECT_EQ(status_of("nonsense\r\n\r\n"), "400");
    EXPECT_EQ(status_of("POST / HTTP/1.1\r\ncontent-length: 1001\r\n\r\n"), "413");
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nx: " + std::string(20'000, 'a') + "\r\n\r\n"), "431");
}

TEST_F(HttpServerTest, EachWriteIsOneChunk) {
    serve([](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
        reply->start(200, {{"content-type", "text/event-stream"}});
        reply->write("one");
        reply->write("");
        reply->write("twelve bytes");
        reply->finish();
    });
    const UniqueFd fd = connect_unix(path_);
    send_text(fd, "GET / HTTP/1.1\r\n\r\n");
    const std::string seen = read_until(fd, "0\r\n\r\n");
    EXPECT_NE(seen.find("\r\n\r\n3\r\none\r\nc\r\ntwelve bytes\r\n0\r\n\r\n"), std::string::npos)
        << seen;
}

TEST_F(HttpServerTest, AHalfCloseIsSeenAndWritesStillArrive) {
    std::promise<std::shared_ptr<HttpReply>> promise;
    serve([&](const HttpRequest&, std::shared_ptr<HttpReply> reply) {
        reply->start(200, {});
        reply->write("first");
        reply->on_client_gone([raw = std::weak_ptr(reply)] {
            if (const auto alive = raw.lock()) {
                alive->write("last count");
                alive->finish();
            }
        });
        promise.set_value(std::move(reply));
    });
    const UniqueFd fd = connect_unix(path_);
    send_text(fd, "GET / HTTP/1.1\r\n\r\n");
    EXPECT_NE(read_until(fd, "first").find("first"), std::string::npos);
    const auto reply = promise.get_future().get();
    EXPECT_FALSE(reply->is_client_gone());
    ::shutdown(fd.get(), SHUT_WR);
    const std::string rest = read_all(fd);
    EXPECT_NE(rest.find("last count"), std::string::npos) << rest;
    EXPECT_TRUE(reply->is_client_gone());
    EXPECT_FALSE(reply->write("too late"));
}

TEST_F(HttpServerTest, AResetIsReportedToAProducerOnAnotherThread) {
    std::promise<void> gone;
    std::thread producer;
    serve([&](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
        reply->start(200, {});
        reply->on_client_gone([&] { gone.set_value(); });
        producer = std::thread([reply] {
            while (reply->write("x")) std::this_thread::yield();
        });
    });
    {
        const UniqueFd fd = connect_unix(path_);
        send_text(fd, "GET / HTTP/1.1\r\n\r\n");
        read_until(fd, "x");
    }
    EXPECT_EQ(gone.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
    producer.join();
}

TEST_F(HttpServerTest, ASlowReaderStopsTheProducer) {
    std::atomic<std::size_t> produced{0};
    std::promise<void> stopped;
    std::promise<std::thread> producer;  // it may end before it is assigned
    serve([&](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
        reply->start(200, {});
        producer.set_value(std::thread([&, reply] {
            const std::string chunk(10'000, 'x');
            while (reply->write(chunk)) produced += chunk.size();
            stopped.set_value();
        }));
    });
    const UniqueFd fd = connect_unix(path_);
    send_text(fd, "GET / HTTP/1.1\r\n\r\n");  // and never reads
    EXPECT_EQ(stopped.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
    producer.get_future().get().join();
    EXPECT_LT(produced.load(), 4 * limits::kMaxStreamBacklogBytes);
}

TEST_F(HttpServerTest, ADroppedReplyIsA500) {
    serve([](const HttpRequest&, const std::shared_ptr<HttpReply>&) {});
    EXPECT_EQ(client().send({"GET", "/", {}, ""}).value().status, 500);
}

TEST_F(HttpServerTest, HeadAndContinueAndNoContent) {
    serve([](const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
        reply->respond({request.path() == "/none" ? 204 : 200, {}, "body"});
    });
    HttpClient http = client();
    EXPECT_EQ(http.send({"HEAD", "/", {}, ""}).value().body, "");
    EXPECT_EQ(http.send({"DELETE", "/none", {}, ""}).value().status, 204);
    EXPECT_EQ(http.send({"GET", "/", {}, ""}).value().body, "body");
    const UniqueFd fd = connect_unix(path_);
    send_text(fd, "POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n");
    EXPECT_NE(read_until(fd, "\r\n\r\n").find("100 Continue"), std::string::npos);
    send_text(fd, "x");
    EXPECT_NE(read_until(fd, "body").find("200 OK"), std::string::npos);
}

TEST_F(HttpServerTest, ManyClientsAtOnce) {
    serve(&echo, 2);
    std::atomic<int> num_right{0};
    std::vector<std::thread> threads;
    threads.reserve(8);
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
            std::vector<HttpClient> clients;
            clients.reserve(25);
            for (int i = 0; i < 25; ++i) clients.push_back(client());
            for (int i = 0; i < 25; ++i) {
                const std::string body = std::to_string(t * 100 + i);
                const auto response =
                    clients[static_cast<std::size_t>(i)].send({"POST", "/", {}, body});
                num_right += response && response->body == "/|" + body ? 1 : 0;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(num_right.load(), 200);
}

TEST_F(HttpServerTest, StopFinishesTheReplyInProgress) {
    std::promise<std::shared_ptr<HttpReply>> promise;
    serve([&](const HttpRequest&, std::shared_ptr<HttpReply> reply) {
        promise.set_value(std::move(reply));
    });
    auto answer = std::async(std::launch::async, [&] {
        return client().send({"GET", "/", {}, ""});
    });
    auto reply = promise.get_future().get();
    std::thread stopper([&] { server_->stop(); });
    reply->respond({200, {}, "in time"});
    stopper.join();
    EXPECT_EQ(answer.get().value().body, "in time");
    EXPECT_FALSE(client().send({"GET", "/", {}, ""}).has_value());
}

TEST_F(HttpServerTest, AStaleSocketIsReplacedAndALiveOneIsNot) {
    serve(&echo);
    HttpServerOptions options;
    options.address = NetAddress{path_, "", 0};
    EXPECT_EQ(HttpServer::start(options, &echo, log_).error().code, ErrorCode::kConflict);
    server_.reset();
    const UniqueFd stale(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    ASSERT_EQ(::bind(stale.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    serve(&echo);
    EXPECT_EQ(client().send({"GET", "/", {}, ""}).value().status, 200);
}

TEST_F(HttpServerTest, TheClientReopensAConnectionThatTheServerClosed) {
    serve(&echo);
    HttpClient http = client();
    ASSERT_TRUE(http.send({"GET", "/1", {}, ""}).has_value());
    server_.reset();
    serve(&echo);
    const auto again = http.send({"GET", "/2", {}, ""});
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(again->body, "/2|");
}

TEST_F(HttpServerTest, TheClientStreamsStopsTimesOutAndIsCancelled) {
    serve([](const HttpRequest& request, std::shared_ptr<HttpReply> reply) {
        static std::vector<std::shared_ptr<HttpReply>> kept;
        if (request.path() == "/silent") {
            kept.push_back(std::move(reply));
            return;
        }
        if (request.path() == "/error") return reply->respond({404, {}, "missing"});
        reply->start(200, {});
        for (int i = 0; i < 3; ++i) reply->write("piece");
        reply->finish();
    });
    HttpClient http = client();
    std::string seen;
    const auto append = [&](std::string_view bytes) {
        seen += bytes;
        return true;
    };
    EXPECT_EQ(http.stream({"GET", "/", {}, ""}, append).value().status, 200);
    EXPECT_EQ(seen, "piecepiecepiece");
    EXPECT_EQ(http.stream({"GET", "/error", {}, ""}, append).value().body, "missing");
    EXPECT_TRUE(
        http.stream({"GET", "/", {}, ""}, [](std::string_view) { return false; }).has_value());
    HttpClient impatient(HttpClientOptions{.address = NetAddress{path_, "", 0},
                                           .ca_file = "",
                                           .server_name = "",
                                           .certificate_file = "",
                                           .key_file = "",
                                           .timeout = std::chrono::milliseconds(30)});
    EXPECT_EQ(impatient.send({"GET", "/silent", {}, ""}).error().code, ErrorCode::kTimeout);
    std::thread canceller([&] { http.cancel(); });
    EXPECT_EQ(http.send({"GET", "/silent", {}, ""}).error().code, ErrorCode::kIo);
    canceller.join();
}

}  // namespace
}  // namespace turnpike::net
