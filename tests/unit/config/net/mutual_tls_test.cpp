// The server and the clients with mutual TLS: who is let in, who is believed, and that streams,
// half-closes and time-outs are what they are without TLS.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <poll.h>

#include <atomic>
#include <csignal>
#include <future>

#include "config/net/client_dialer.h"
#include "tests/support/test_ca.h"
#include "tests/unit/config/net/server_fixture.h"

namespace turnpike::net {
namespace {

using std::chrono::milliseconds;

constexpr char kName[] = "turnpike-engine";

UniqueFd connect_to(std::uint16_t port) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    CHECK(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    const timeval limit{10, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

// A blocking client for what the HttpClient does not do.
class RawClient {
  public:
    RawClient(std::uint16_t port, const TlsFiles& files, int version = TLS1_3_VERSION)
        : context_(make_client_context(files).value()), fd_(connect_to(port)) {
        ssl_.reset(SSL_new(context_.get()));
        SSL_set_min_proto_version(ssl_.get(), version);
        SSL_set_max_proto_version(ssl_.get(), version);
        SSL_set_fd(ssl_.get(), fd_.get());
        CHECK(SSL_connect(ssl_.get()) == 1);
    }

    void send(std::string_view text) {
        std::size_t written = 0;
        ASSERT_EQ(SSL_write_ex(ssl_.get(), text.data(), text.size(), &written), 1);
    }

    std::string read_until(std::string_view marker) {
        std::string seen;
        char buffer[4096];
        std::size_t taken = 0;
        while (seen.find(marker) == std::string::npos) {
            ERR_clear_error();
            const int result = SSL_read_ex(ssl_.get(), buffer, sizeof buffer, &taken);
            if (result != 1) {
                end_ = SSL_get_error(ssl_.get(), result);
                break;
            }
            seen.append(buffer, taken);
        }
        return seen;
    }

    std::string read_all() { return read_until("\x01 never sent"); }

    // Whether reading ended by the peer's close_notify.
    bool was_closed_properly() const { return end_ == SSL_ERROR_ZERO_RETURN; }

    void notify() { EXPECT_EQ(SSL_shutdown(ssl_.get()), 0); }

    void fin() { ::shutdown(fd_.get(), SHUT_WR); }

  private:
    SslContext context_;
    UniqueFd fd_;
    Ssl ssl_;
    int end_ = SSL_ERROR_NONE;
};

class MutualTlsTest : public HttpServerTest {
  protected:
    void SetUp() override {
        std::signal(SIGPIPE, SIG_IGN);
        issue("server", {.names = std::string("DNS:") + kName});
        issue("client", {.names = "DNS:gateway"});
    }

    void issue(const std::string& who, const test::LeafOptions& options) const {
        ca_.issue(dir_.file(who + ".crt"), dir_.file(who + ".key"), options);
    }

    TlsFiles files_of(const std::string& who) const {
        return {dir_.file(who + ".crt"), dir_.file(who + ".key"), ca_file_};
    }

    HttpServerOptions tls_options() const {
        HttpServerOptions chosen = options();
        chosen.address = parse_address("tls:127.0.0.1:0").value();
        chosen.tls = files_of("server");
        return chosen;
    }

    void serve_tls(HttpHandler handler) { serve(std::move(handler), tls_options()); }

    std::uint16_t port() const { return server_->address().port; }

    HttpClientOptions client_options() const {
        return peer_options(to_string(server_->address()), files_of("client"), kName).value();
    }

    // The error of one request, which must not reach the handler.
    Error refusal(const HttpClientOptions& options) {
        num_handled_ = 0;
        const auto response = HttpClient(options).send({"GET", "/", {}, ""});
        EXPECT_EQ(num_handled_.load(), 0);
        return response ? Error{ErrorCode::kInternal, "it was answered", {}} : response.error();
    }

    HttpHandler counting() {
        return [this](const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
            ++num_handled_;
            echo(request, reply);
        };
    }

    const std::string ca_file_ = dir_.file("ca.crt");
    const test::TestCa ca_{ca_file_};
    std::atomic<int> num_handled_{0};
};

TEST_F(MutualTlsTest, AnswersAClientOfItsAuthorityAndKeepsTheConnection) {
    serve_tls(&echo);
    EXPECT_TRUE(to_string(server_->address()).starts_with("tls:127.0.0.1:"));
    HttpClient http(client_options());
    for (const std::string path : {"/1", "/2", "/3"}) {
        const auto response = http.send({"POST", path, {}, "body"});
        ASSERT_TRUE(response.has_value()) << response.error().message;
        EXPECT_EQ(response->body, path + "|body");
    }
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        RawClient raw(port(), files_of("client"), version);
        raw.send("GET /a HTTP/1.1\r\n\r\n");
        EXPECT_TRUE(raw.read_until("/a|").ends_with("/a|"));
        raw.send("GET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\nconnection: close\r\n\r\n");
        const std::string rest = raw.read_all();
        EXPECT_NE(rest.find("/b|"), std::string::npos) << rest;
        EXPECT_TRUE(rest.ends_with("/c|")) << rest;
        EXPECT_TRUE(raw.was_closed_properly());
    }
}

TEST_F(MutualTlsTest, RefusesAClientWithoutACertificateOfItsAuthority) {
    serve_tls(counting());
    HttpClientOptions options = client_options();
    options.certificate_file.clear();
    options.key_file.clear();
    EXPECT_NE(refusal(options).message.find("certificate required"), std::string::npos)
        << refusal(options).message;
    const test::TestCa other(dir_.file("other-ca.crt"));
    other.issue(dir_.file("stranger.crt"), dir_.file("stranger.key"));
    options = client_options();
    options.certificate_file = dir_.file("stranger.crt");
    options.key_file = dir_.file("stranger.key");
    EXPECT_NE(refusal(options).message.find("alert"), std::string::npos)
        << refusal(options).message;
    issue("old", {.is_expired = true});
    options.certificate_file = dir_.file("old.crt");
    options.key_file = dir_.file("old.key");
    EXPECT_NE(refusal(options).message.find("certificate expired"), std::string::npos)
        << refusal(options).message;
    // It still serves who may come.
    EXPECT_TRUE(HttpClient(client_options()).send({"GET", "/", {}, ""}).has_value());
}

TEST_F(MutualTlsTest, BelievesNoServerOfAnotherNameOrAuthority) {
    serve_tls(counting());
    HttpClientOptions options = client_options();
    options.server_name = "another-engine";
    EXPECT_NE(refusal(options).message.find("not accepted"), std::string::npos);
    options = client_options();
    const test::TestCa other(dir_.file("other-ca.crt"));
    options.ca_file = dir_.file("other-ca.crt");
    EXPECT_NE(refusal(options).message.find("not accepted"), std::string::npos);
    // The address does not stand in for the name, nor does the common name.
    for (const char* names : {"DNS:localhost,IP:127.0.0.1", "email:turnpike-engine@x"}) {
        issue("server", {.names = names, .common_name = kName});
        serve_tls(counting());
        EXPECT_NE(refusal(client_options()).message.find("not accepted"), std::string::npos)
            << names;
    }
}

TEST_F(MutualTlsTest, SpeaksNothingButTls) {
    serve_tls(counting());
    HttpClientOptions plain = client_options();
    plain.use_tls = false;
    EXPECT_EQ(refusal(plain).code, ErrorCode::kInvalidArgument);  // a tls: address demands it
    plain.address.is_tls = false;
    EXPECT_EQ(refusal(plain).code, ErrorCode::kIo);
}

TEST_F(MutualTlsTest, EachChunkArrivesBeforeTheNextIsWritten) {
    std::promise<std::shared_ptr<HttpReply>> promise;
    serve_tls([&](const HttpRequest&, std::shared_ptr<HttpReply> reply) {
        reply->start(200, {});
        reply->write("1");
        promise.set_value(std::move(reply));
    });
    auto reply = promise.get_future();
    std::shared_ptr<HttpReply> kept;
    std::string seen;
    HttpClient http(client_options());
    const auto response = http.stream({"GET", "/", {}, ""}, [&](std::string_view bytes) {
        seen += bytes;
        if (kept == nullptr) kept = reply.get();
        if (seen.size() < 5) kept->write(std::to_string(seen.size() + 1));
        if (seen.size() == 5) kept->finish();
        return true;
    });
    ASSERT_TRUE(response.has_value()) << response.error().message;
    EXPECT_EQ(seen, "12345");
}

TEST_F(MutualTlsTest, LongBodiesPassWhole) {
    HttpServerOptions chosen = tls_options();
    chosen.max_body_bytes = limits::kMaxBodyBytes;
    serve(&echo, chosen);
    std::string body(3'000'000, 'x');
    for (std::size_t i = 0; i < body.size(); i += 97) body[i] = static_cast<char>('a' + i % 26);
    HttpClient http(client_options());
    for (int i = 0; i < 2; ++i) {
        const auto response = http.send({"POST", "/", {}, body});
        ASSERT_TRUE(response.has_value()) << response.error().message;
        EXPECT_TRUE(response->body == "/|" + body);
    }
}

TEST_F(MutualTlsTest, ManySmallChunksPassWhole) {
    constexpr int kNumChunks = 20'000;
    serve_tls([](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
        reply->start(200, {});
        for (int i = 0; i < kNumChunks; ++i) reply->write(std::to_string(i) + ",");
        reply->finish();
    });
    std::string expected;
    for (int i = 0; i < kNumChunks; ++i) expected += std::to_string(i) + ",";
    std::string seen;
    HttpClient http(client_options());
    const auto response = http.stream({"GET", "/", {}, ""}, [&](std::string_view bytes) {
        seen += bytes;
        return true;
    });
    ASSERT_TRUE(response.has_value()) << response.error().message;
    EXPECT_TRUE(seen == expected);
}

TEST_F(MutualTlsTest, AHalfCloseIsSeenAndWritesStillArrive) {
    serve_tls([](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
        reply->start(200, {});
        reply->write("first");
        // Holds the reply: it ends with the call.
        reply->on_client_gone([reply] {
            reply->write("last count");
            reply->finish();
        });
    });
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        for (const auto& [has_notify, has_fin] :
             {std::pair{true, true}, {true, false}, {false, true}}) {
            RawClient raw(port(), files_of("client"), version);
            raw.send("GET / HTTP/1.1\r\n\r\n");
            EXPECT_NE(raw.read_until("first").find("first"), std::string::npos);
            if (has_notify) raw.notify();
            if (has_fin) raw.fin();
            const std::string rest = raw.read_all();
            EXPECT_NE(rest.find("last count"), std::string::npos) << has_notify << has_fin << rest;
            EXPECT_TRUE(rest.ends_with("0\r\n\r\n")) << rest;
            EXPECT_TRUE(raw.was_closed_properly());
        }
    }
}

TEST_F(MutualTlsTest, AClientThatClosesIsReported) {
    std::promise<void> gone;
    std::promise<std::shared_ptr<HttpReply>> promise;
    serve_tls([&](const HttpRequest&, std::shared_ptr<HttpReply> reply) {
        reply->start(200, {});
        reply->write("x");
        reply->on_client_gone([&] { gone.set_value(); });
        promise.set_value(std::move(reply));
    });
    {
        RawClient raw(port(), files_of("client"));
        raw.send("GET / HTTP/1.1\r\n\r\n");
        raw.read_until("x");
    }
    EXPECT_EQ(gone.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
    EXPECT_TRUE(promise.get_future().get()->is_client_gone());
}

TEST_F(MutualTlsTest, SilenceIsClosedBeforeAndAfterTheHandshake) {
    HttpServerOptions chosen = tls_options();
    chosen.head_timeout = chosen.idle_timeout = milliseconds(50);
    serve(&echo, chosen);
    EXPECT_EQ(net::read_all(connect_to(port())), "");
    RawClient silent(port(), files_of("client"));
    EXPECT_EQ(silent.read_all(), "");
    EXPECT_TRUE(silent.was_closed_properly());
    RawClient idle(port(), files_of("client"));
    idle.send("GET /a HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(idle.read_all().ends_with("/a|"));
    EXPECT_TRUE(idle.was_closed_properly());
}

TEST_F(MutualTlsTest, AClientThatTakesNothingIsGoneAfterAWhile) {
    HttpServerOptions chosen = tls_options();
    chosen.stall_timeout = milliseconds(50);
    std::promise<void> gone;
    serve(
        [&](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
            reply->on_client_gone([&gone] { gone.set_value(); });
            reply->start(200, {});
            // More than all buffers on the way hold.
            for (int i = 0; i < 100; ++i) reply->write(std::string(100'000, 'x'));
        },
        chosen);
    RawClient raw(port(), files_of("client"));
    raw.send("GET / HTTP/1.1\r\n\r\n");  // and never reads
    EXPECT_EQ(gone.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

TEST_F(MutualTlsTest, ARefusalReachesAClientThatStillSends) {
    serve_tls(&echo);
    HttpClient http(client_options());
    const auto refused = http.send({"POST", "/", {}, std::string(4'000'000, 'x')});
    ASSERT_TRUE(refused.has_value()) << refused.error().message;
    EXPECT_EQ(refused->status, 413);
    EXPECT_EQ(http.send({"GET", "/next", {}, ""}).value().body, "/next|");
}

TEST_F(MutualTlsTest, StartsOnlyWithWhatItNeeds) {
    const auto error_of = [&](const HttpServerOptions& options) {
        const auto started = HttpServer::start(options, &echo, log_);
        return started ? std::string("started") : started.error().message;
    };
    HttpServerOptions chosen = tls_options();
    chosen.tls.reset();
    EXPECT_NE(error_of(chosen).find("tls:127.0.0.1:0"), std::string::npos) << error_of(chosen);
    chosen = tls_options();
    chosen.address.is_tls = false;
    EXPECT_NE(error_of(chosen).find("tcp:127.0.0.1:0"), std::string::npos) << error_of(chosen);
    chosen = tls_options();
    chosen.tls->ca.clear();
    EXPECT_NE(error_of(chosen).find("authority"), std::string::npos) << error_of(chosen);
    chosen.tls->ca = dir_.file("missing.crt");
    EXPECT_NE(error_of(chosen).find("missing.crt"), std::string::npos) << error_of(chosen);
}

TEST_F(MutualTlsTest, OptionsForAPeerFollowItsAddress) {
    const auto plain = peer_options("unix:/run/x", files_of("client"), kName).value();
    EXPECT_FALSE(plain.use_tls);
    EXPECT_FALSE(peer_options("tcp:10.0.0.1:1", {}, kName)->use_tls);
    const auto tls = peer_options("tls:10.0.0.1:1", files_of("client"), kName).value();
    EXPECT_TRUE(tls.use_tls);
    EXPECT_EQ(tls.server_name, kName);
    EXPECT_EQ(tls_files(tls).key, files_of("client").key);
    EXPECT_EQ(peer_options("tls:10.0.0.1:1", {}, kName).error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(peer_options("tls:", files_of("client"), kName).has_value());
}

TEST_F(MutualTlsTest, ADialerShowsItsCertificateToo) {
    serve_tls(&echo);
    const auto dialer = ClientDialer::make(client_options()).value();
    DialedStream stream = dialer.dial().value();
    const auto wait_for = [&](IoNeed need) {
        pollfd fd{stream.fd(), static_cast<short>(need == IoNeed::kReadable ? POLLIN : POLLOUT), 0};
        return ::poll(&fd, 1, 10'000) == 1;
    };
    IoNeed need = stream.open().value();
    for (; need != IoNeed::kNone; need = stream.open().value()) ASSERT_TRUE(wait_for(need));
    constexpr std::string_view kRequest = "GET /d HTTP/1.1\r\n\r\n";
    EXPECT_EQ(stream.write(kRequest).value().num_bytes, kRequest.size());
    std::string seen;
    std::array<char, 4096> buffer{};
    while (!seen.ends_with("/d|")) {
        const auto progress = stream.read(buffer);
        ASSERT_TRUE(progress.has_value()) << progress.error().message;
        ASSERT_FALSE(progress->is_end);
        seen.append(buffer.data(), progress->num_bytes);
        if (progress->need != IoNeed::kNone) {
            ASSERT_TRUE(wait_for(progress->need));
        }
    }
}

}  // namespace
}  // namespace turnpike::net
