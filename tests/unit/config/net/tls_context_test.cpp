// TLS: the client against a real handshake with certificates that it should and should not accept.
#include "config/net/tls_context.h"

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "config/net/http_client.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_ca.h"
#include "tests/unit/config/net/listener.h"

namespace turnpike::net {
namespace {

// What the server saw of one connection.
struct Seen {
    bool has_handshake = false;
    bool is_resumed = false;
    std::string version;
    std::string alpn;
    std::string request;
};

class TlsTest : public testing::Test {
  protected:
    void SetUp() override {
        std::signal(SIGPIPE, SIG_IGN);
        issue({});
    }

    void issue(const test::LeafOptions& options) {
        ca_.issue(certificate_file_, key_file_, options);
        server_context_ = make_server_context({certificate_file_, key_file_, ""}).value();
    }

    HttpClientOptions client_options() const {
        HttpClientOptions options;
        options.address = {"", "localhost", listener_.port()};
        options.use_tls = true;
        options.ca_file = ca_file_;
        return options;
    }

    // Serves one connection with one reply while `options` asks.
    Result<HttpResponse> exchange(const HttpClientOptions& options) {
        std::thread server([this] { serve_one(); });
        HttpClient http(options);
        auto response = http.send({"GET", "/", {}, ""});
        server.join();
        return response;
    }

    // A handshake with a raw client, for what the HttpClient does not choose by itself.
    Seen handshake(SSL& client) {
        std::thread server([this] { serve_one(); });
        const UniqueFd fd = connect();
        SSL_set_fd(&client, fd.get());
        if (SSL_connect(&client) == 1) {
            SSL_write(&client, "\r\n\r\n", 4);
            char buffer[4096];
            while (SSL_read(&client, buffer, sizeof buffer) > 0) {
            }
        }
        SSL_shutdown(&client);
        server.join();
        return seen_;
    }

    UniqueFd connect() const {
        UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(listener_.port());
        CHECK(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        return fd;
    }

    void serve_one() {
        seen_ = {};
        const UniqueFd fd = listener_.accept();
        const Ssl ssl(SSL_new(server_context_.get()));
        SSL_set_fd(ssl.get(), fd.get());
        seen_.has_handshake = SSL_accept(ssl.get()) == 1;
        if (!seen_.has_handshake) return;
        seen_.is_resumed = SSL_session_reused(ssl.get()) == 1;
        seen_.version = SSL_get_version(ssl.get());
        const unsigned char* alpn = nullptr;
        unsigned length = 0;
        SSL_get0_alpn_selected(ssl.get(), &alpn, &length);
        seen_.alpn.assign(reinterpret_cast<const char*>(alpn), length);
        char buffer[4096];
        while (seen_.request.find("\r\n\r\n") == std::string::npos) {
            const int taken = SSL_read(ssl.get(), buffer, sizeof buffer);
            if (taken <= 0) return;
            seen_.request.append(buffer, static_cast<std::size_t>(taken));
        }
        const std::string reply = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nsecret";
        SSL_write(ssl.get(), reply.data(), static_cast<int>(reply.size()));
        SSL_shutdown(ssl.get());
    }

    test::TempDir dir_;
    const std::string ca_file_ = dir_.file("ca.crt");
    const std::string certificate_file_ = dir_.file("server.crt");
    const std::string key_file_ = dir_.file("server.key");
    test::TestCa ca_{ca_file_};
    Listener listener_;
    SslContext server_context_;
    Seen seen_;
};

TEST_F(TlsTest, AcceptsACertificateOfItsAuthorityAndName) {
    const auto response = exchange(client_options());
    ASSERT_TRUE(response.has_value()) << response.error().message;
    EXPECT_EQ(response->body, "secret");
    EXPECT_EQ(seen_.version, "TLSv1.3");
    HttpClientOptions by_address = client_options();
    by_address.address.host = "127.0.0.1";
    EXPECT_TRUE(exchange(by_address).has_value());
}

TEST_F(TlsTest, RefusesAnotherAuthorityAndSendsNothing) {
    HttpClientOptions options = client_options();
    options.ca_file = dir_.file("other.crt");
    const test::TestCa other(options.ca_file);
    const auto refused = exchange(options);
    ASSERT_FALSE(refused.has_value());
    EXPECT_NE(refused.error().message.find("certificate"), std::string::npos)
        << refused.error().message;
    EXPECT_EQ(seen_.request, "");
}

TEST_F(TlsTest, RefusesAnotherName) {
    HttpClientOptions options = client_options();
    options.server_name = "example.org";
    EXPECT_NE(exchange(options).error().message.find("not accepted"), std::string::npos);
    issue({.names = "DNS:example.org"});
    EXPECT_TRUE(exchange(options).has_value());
    EXPECT_FALSE(exchange(client_options()).has_value());
    HttpClientOptions by_address = client_options();
    by_address.address.host = "127.0.0.1";
    EXPECT_FALSE(exchange(by_address).has_value());
}

TEST_F(TlsTest, RefusesAnExpiredCertificate) {
    issue({.is_expired = true});
    EXPECT_NE(exchange(client_options()).error().message.find("expired"), std::string::npos);
}

TEST_F(TlsTest, SaysWhichFileIsAtFault) {
    HttpClientOptions options = client_options();
    options.ca_file = dir_.file("missing.crt");
    // The connection is made before the file is read, so somebody accepts it.
    EXPECT_NE(exchange(options).error().message.find("missing.crt"), std::string::npos);
    const auto no_key = make_server_context({certificate_file_, dir_.file("missing.key"), ""});
    EXPECT_NE(no_key.error().message.find("missing.key"), std::string::npos);
    const auto no_certificate = make_server_context({dir_.file("missing.crt"), key_file_, ""});
    EXPECT_NE(no_certificate.error().message.find("missing.crt"), std::string::npos);
    ca_.issue(dir_.file("b.crt"), dir_.file("b.key"));
    EXPECT_FALSE(make_server_context({certificate_file_, dir_.file("b.key"), ""}).has_value());
    std::ofstream(dir_.file("garbage.key")) << "no key\n";
    EXPECT_FALSE(
        make_server_context({certificate_file_, dir_.file("garbage.key"), ""}).has_value());
}

TEST_F(TlsTest, SpeaksTwoVersionsWithAeadAndNothingOlder) {
    const SslContext context = make_client_context({"", "", ca_file_}).value();
    const auto seen_with = [&](int version, const char* ciphers) {
        const Ssl ssl(SSL_new(context.get()));
        SSL_set_min_proto_version(ssl.get(), version);
        SSL_set_max_proto_version(ssl.get(), version);
        if (ciphers != nullptr) SSL_set_cipher_list(ssl.get(), ciphers);
        return handshake(*ssl);
    };
    EXPECT_EQ(seen_with(TLS1_3_VERSION, nullptr).version, "TLSv1.3");
    EXPECT_EQ(seen_with(TLS1_2_VERSION, nullptr).version, "TLSv1.2");
    EXPECT_FALSE(seen_with(TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256").has_handshake);
    EXPECT_FALSE(seen_with(TLS1_1_VERSION, "ALL:@SECLEVEL=0").has_handshake);
}

TEST_F(TlsTest, SelectsHttp11OfWhatIsOffered) {
    const SslContext context = make_client_context({"", "", ca_file_}).value();
    const auto alpn_for = [&](const std::string& offer) {
        const Ssl ssl(SSL_new(context.get()));
        SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(offer.data()),
                            static_cast<unsigned>(offer.size()));
        return handshake(*ssl);
    };
    EXPECT_EQ(alpn_for("\x02h2\x08http/1.1").alpn, "http/1.1");
    const Seen only_h2 = alpn_for("\x02h2");
    EXPECT_TRUE(only_h2.has_handshake);
    EXPECT_EQ(only_h2.alpn, "");
}

TEST_F(TlsTest, ASessionResumesAndTakesNoEarlyData) {
    const SslContext context = make_client_context({"", "", ca_file_}).value();
    const Ssl first(SSL_new(context.get()));
    EXPECT_FALSE(handshake(*first).is_resumed);
    const UniqueHandle<SSL_SESSION*, &SSL_SESSION_free> session(SSL_get1_session(first.get()));
    ASSERT_NE(session, nullptr);
    EXPECT_EQ(SSL_SESSION_get_max_early_data(session.get()), 0U);
    const Ssl second(SSL_new(context.get()));
    SSL_set_session(second.get(), session.get());
    EXPECT_TRUE(handshake(*second).is_resumed);
}

}  // namespace
}  // namespace turnpike::net
