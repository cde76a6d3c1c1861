// The client against servers that a test plays itself: reopening, broken replies, cancelling.
#include "config/net/http_client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <optional>
#include <thread>

#include "tests/unit/config/net/listener.h"
#include "tests/unit/config/net/server_fixture.h"

namespace turnpike::net {
namespace {

constexpr char kOk[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

HttpClient client_of(const Listener& listener) {
    HttpClientOptions options;
    options.address = listener.address();
    options.timeout = std::chrono::seconds(10);
    return HttpClient(options);
}

// Answers each connection in turn with `script`, on a thread of its own.
class ScriptedServer {
  public:
    explicit ScriptedServer(std::function<void(Listener&)> script)
        : thread_([this, script = std::move(script)] { script(listener_); }) {}

    ~ScriptedServer() { thread_.join(); }

    const Listener& listener() const { return listener_; }

  private:
    Listener listener_;
    std::thread thread_;
};

TEST(HttpClient, WritesRequestsThatEveryServerReads) {
    std::string seen;
    {
        const ScriptedServer server([&](const Listener& listener) {
            const UniqueFd fd = listener.accept();
            seen = read_until(fd, "{}");
            send_text(fd, kOk);
        });
        HttpClient http = client_of(server.listener());
        EXPECT_EQ(http.send({"POST", "/a?b=c", {{"x-y", "z"}}, "{}"}).value().body, "ok");
        const std::string port = std::to_string(server.listener().port());
        EXPECT_NE(seen.find("host: 127.0.0.1:" + port + "\r\n"), std::string::npos) << seen;
    }
    EXPECT_TRUE(seen.starts_with("POST /a?b=c HTTP/1.1\r\n")) << seen;
    EXPECT_NE(seen.find("x-y: z\r\n"), std::string::npos);
    EXPECT_TRUE(seen.ends_with("content-length: 2\r\n\r\n{}"));
}

TEST(HttpClient, ReopensAnIdleConnectionOnce) {
    const ScriptedServer server([](const Listener& listener) {
        {
            const UniqueFd first = listener.accept();
            read_until(first, "\r\n\r\n");
            send_text(first, kOk);
        }
        const UniqueFd second = listener.accept();
        read_until(second, "\r\n\r\n");
        send_text(second, kOk);
    });
    HttpClient http = client_of(server.listener());
    EXPECT_EQ(http.send({"GET", "/1", {}, ""}).value().body, "ok");
    EXPECT_EQ(http.send({"GET", "/2", {}, ""}).value().body, "ok");
}

TEST(HttpClient, DoesNotRepeatARequestWhoseReplyHadBegun) {
    std::atomic<int> num_requests{0};
    {
        const ScriptedServer server([&](const Listener& listener) {
            const UniqueFd fd = listener.accept();
            read_until(fd, "\r\n\r\n");
            ++num_requests;
            send_text(fd, kOk);
            read_until(fd, "\r\n\r\n");
            ++num_requests;
            send_text(fd, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal");
        });
        HttpClient http = client_of(server.listener());
        EXPECT_TRUE(http.send({"POST", "/", {}, ""}).has_value());
        const auto broken = http.send({"POST", "/", {}, ""});
        ASSERT_FALSE(broken.has_value());
        EXPECT_EQ(broken.error().code, ErrorCode::kIo);
        EXPECT_NE(broken.error().message.find("before the end"), std::string::npos);
    }
    EXPECT_EQ(num_requests.load(), 2);
}

TEST(HttpClient, DoesNotRepeatARequestOnAConnectionThatWasNew) {
    const ScriptedServer server([](const Listener& listener) {
        const UniqueFd fd = listener.accept();
        read_until(fd, "\r\n\r\n");
    });
    HttpClient http = client_of(server.listener());
    EXPECT_EQ(http.send({"POST", "/", {}, ""}).error().code, ErrorCode::kIo);
}

TEST(HttpClient, SaysWhenTheAnswerIsNoHttp) {
    const ScriptedServer server([](const Listener& listener) {
        const UniqueFd fd = listener.accept();
        read_until(fd, "\r\n\r\n");
        send_text(fd, "220 mail ready\r\n\r\n");
    });
    HttpClient http = client_of(server.listener());
    EXPECT_EQ(http.send({"GET", "/", {}, ""}).error().code, ErrorCode::kCorrupt);
}

TEST(HttpClient, ReadsAReplyThatEndsWithTheConnection) {
    const ScriptedServer server([](const Listener& listener) {
        const UniqueFd fd = listener.accept();
        read_until(fd, "\r\n\r\n");
        send_text(fd, "HTTP/1.0 200 OK\r\n\r\nall of it");
    });
    HttpClient http = client_of(server.listener());
    EXPECT_EQ(http.send({"GET", "/", {}, ""}).value().body, "all of it");
}

TEST(HttpClient, StreamsBytesAsTheyCome) {
    const ScriptedServer server([](const Listener& listener) {
        const UniqueFd fd = listener.accept();
        read_until(fd, "\r\n\r\n");
        const std::string reply =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: "
            "chunked\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n";
        for (const char c : reply) send_text(fd, std::string(1, c));
    });
    HttpClient http = client_of(server.listener());
    std::string seen;
    const auto head = http.stream({"GET", "/", {}, ""}, [&](std::string_view bytes) {
        seen += bytes;
        return true;
    });
    EXPECT_EQ(head.value().body, "");
    EXPECT_EQ(seen, "onethree");
}

TEST(HttpClient, NamesTheAddressThatCannotBeReached) {
    Listener listener;
    listener.close();
    const auto refused = client_of(listener).send({"GET", "/", {}, ""});
    EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(refused.error().message.find(std::to_string(listener.port())), std::string::npos);
    HttpClientOptions options;
    options.address.unix_path = "/nonexistent/socket";
    EXPECT_EQ(HttpClient(options).send({"GET", "/", {}, ""}).error().code, ErrorCode::kUnavailable);
}

// kUnavailable says that nothing was sent; here the first attempt was.
TEST(HttpClient, ARequestThatWasSentAndCannotBeSentAgainIsLost) {
    const ScriptedServer server([](Listener& listener) {
        const UniqueFd fd = listener.accept();
        read_until(fd, "\r\n\r\n");
        listener.close();
        send_text(fd, kOk);
        read_until(fd, "\r\n\r\n");
    });
    HttpClient http = client_of(server.listener());
    EXPECT_TRUE(http.send({"GET", "/", {}, ""}).has_value());
    EXPECT_EQ(http.send({"POST", "/", {}, ""}).error().code, ErrorCode::kIo);
}

TEST(HttpClient, TimesOutWhenNothingComes) {
    const Listener listener;  // the kernel accepts, nobody answers
    HttpClientOptions options;
    options.address = listener.address();
    options.timeout = std::chrono::milliseconds(20);
    HttpClient http(options);
    EXPECT_EQ(http.send({"GET", "/", {}, ""}).error().code, ErrorCode::kTimeout);
}

TEST(HttpClient, ACancelledClientSendsNothing) {
    std::string after_cancel = "unread";
    {
        const ScriptedServer server([&](const Listener& listener) {
            const UniqueFd fd = listener.accept();
            read_until(fd, "\r\n\r\n");
            send_text(fd, kOk);
            after_cancel = read_all(fd);
        });
        HttpClient http = client_of(server.listener());
        EXPECT_TRUE(http.send({"GET", "/", {}, ""}).has_value());
        http.cancel();
        EXPECT_EQ(http.send({"POST", "/", {}, ""}).error().code, ErrorCode::kIo);
        EXPECT_EQ(http.send({"POST", "/", {}, ""}).error().code, ErrorCode::kIo);
    }
    EXPECT_EQ(after_cancel, "");
}

TEST(HttpClient, CancelEndsAWaitOnAnotherThread) {
    std::atomic<bool> has_request{false};
    std::optional<HttpClient> http;  // outlives the thread that cancels it
    const ScriptedServer server([&](const Listener& listener) {
        const UniqueFd fd = listener.accept();
        read_until(fd, "\r\n\r\n");
        has_request = true;
        http->cancel();
        read_all(fd);
    });
    http.emplace(client_of(server.listener()));
    const auto outcome = http->send({"GET", "/", {}, ""});
    EXPECT_TRUE(has_request.load());
    EXPECT_EQ(outcome.error().code, ErrorCode::kIo);
    EXPECT_NE(outcome.error().message.find("cancelled"), std::string::npos);
}

}  // namespace
}  // namespace turnpike::net
