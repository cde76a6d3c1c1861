// Replicas on other hosts: the same answers, cancellations and faults over mutual TLS.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <csignal>

#include "tests/component/gateway/gateway_fixture.h"
#include "tests/support/test_ca.h"

namespace turnpike::gateway {
namespace {

using controlplane::Outcome;
using test::EngineConnection;
using test::EngineRequest;
using test::FakeEngine;
using test::Latch;
using testing::HasSubstr;

class UpstreamTlsTest : public GatewayTest {
  protected:
    UpstreamTlsTest() {
        std::signal(SIGPIPE, SIG_IGN);
        issue("engine", {.names = "DNS:turnpike-engine"});
        issue("gateway", {.names = "DNS:gateway"});
        options_.settings.upstream_tls = files_of("gateway");
    }

    void issue(const std::string& who, const test::LeafOptions& options) const {
        ca_.issue(world_.dir().file(who + ".crt"), world_.dir().file(who + ".key"), options);
    }

    net::TlsFiles files_of(const std::string& who) const {
        return {world_.dir().file(who + ".crt"), world_.dir().file(who + ".key"), ca_file_};
    }

    controlplane::UsageRecord only_record() {
        const auto records = controlplane_->wait_for_records(1);
        EXPECT_EQ(records.size(), 1U);
        return records.empty() ? controlplane::UsageRecord() : records.front();
    }

    const std::string ca_file_ = world_.dir().file("ca.crt");
    const test::TestCa ca_{ca_file_};
};

TEST_F(UpstreamTlsTest, AChatStreamsThroughOneConnection) {
    Latch first_seen;
    FakeEngine engine(files_of("engine"), [&](const EngineRequest&, EngineConnection& connection) {
        connection.begin();
        connection.meter({5, 0, 1, 0});
        connection.event(R"({"n":1})");
        EXPECT_TRUE(first_seen.wait());
        connection.meter({5, 0, 2, 0});
        connection.event(R"({"n":2})");
        connection.done();
        connection.end();
    });
    publish({&engine});
    test::TlsClient client = connect();
    client.send(post_text(kStreamBody));
    EXPECT_THAT(client.read_until("data: {\"n\":1}\n\n"), HasSubstr("200 OK"));
    first_seen.set();
    EXPECT_THAT(client.read_until("0\r\n\r\n"), HasSubstr("data: {\"n\":2}\n\n"));
    EXPECT_EQ(only_record().outcome, Outcome::kCompleted);
    EXPECT_EQ(only_record().usage, (TokenUsage{5, 0, 2, 0}));

    engine.set_script(test::answer_briefly);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(post(kUnaryBody).status, 200);
    EXPECT_EQ(engine.num_connections(), 1U);
    const EngineRequest seen = engine.requests().front();
    EXPECT_EQ(seen.body, kStreamBody);
    EXPECT_EQ(seen.header("x-turnpike-epoch"), "7");
    EXPECT_EQ(seen.header("x-turnpike-replica"), "r0");
}

TEST_F(UpstreamTlsTest, LongBodiesPassWholeBothWays) {
    const std::string long_text(3'000'000, 'x');
    FakeEngine engine(files_of("engine"), [&](const EngineRequest&, EngineConnection& connection) {
        connection.begin();
        connection.meter({5, 0, 9, 0});
        connection.event("{\"long\":\"" + long_text + "\"}");
        connection.end();
    });
    publish({&engine});
    const std::string body = R"({"model":"tiny","messages":[{"role":"user","content":")" +
                             std::string(2'000'000, 'y') + R"("}]})";
    EXPECT_EQ(post(body).body.size(), long_text.size() + 11);
    EXPECT_TRUE(engine.requests().front().body == body);
}

TEST_F(UpstreamTlsTest, AClientThatLeavesPaysForTheLastMeterLine) {
    FakeEngine engine(files_of("engine"), wait_to_be_cancelled);
    publish({&engine});
    {
        test::TlsClient client = connect();
        client.send(post_text(kStreamBody));
        client.read_until("data: {}\n\n");
        client.close();
    }
    EXPECT_EQ(only_record().outcome, Outcome::kClientGone);
    EXPECT_EQ(only_record().usage, (TokenUsage{9, 0, 3, 0}));
}

TEST_F(UpstreamTlsTest, AnEngineThatDiesIsAskedForItsCount) {
    FakeEngine engine(files_of("engine"), [&](const EngineRequest& request, EngineConnection& to) {
        engine.set_meter(request.header("x-request-id"), {7, 0, 5, 0}, true);
        to.begin();
        to.meter({7, 0, 1, 0});
        to.event("{}");
        to.send("30\r\ndata: half an ev");
        to.close();
    });
    publish({&engine});
    EXPECT_THAT(post(kStreamBody).body, HasSubstr("\"error\""));
    EXPECT_EQ(only_record().outcome, Outcome::kReplicaFailed);
    EXPECT_EQ(only_record().usage, (TokenUsage{7, 0, 5, 0}));
}

TEST_F(UpstreamTlsTest, AConnectionClosedWhileIdleIsReplaced) {
    FakeEngine engine(files_of("engine"), test::answer_briefly);
    publish({&engine});
    EXPECT_EQ(post(kUnaryBody).status, 200);
    engine.drop_connections();
    EXPECT_EQ(post(kUnaryBody).status, 200);
    EXPECT_EQ(engine.num_connections(), 2U);
}

TEST_F(UpstreamTlsTest, AnEngineOfAnotherNameIsSentNothing) {
    issue("other", {.names = "DNS:localhost,IP:127.0.0.1", .common_name = "turnpike-engine"});
    FakeEngine other(files_of("other"), test::answer_briefly);
    FakeEngine engine(files_of("engine"), test::answer_briefly);
    publish({&other});
    EXPECT_EQ(post(kUnaryBody).status, 502);
    EXPECT_EQ(other.requests().size(), 0U);
    publish({&other, &engine});
    const SteadyTime deadline = clock_.steady_now() + std::chrono::seconds(20);
    while (post(kUnaryBody).status != 200) ASSERT_LT(clock_.steady_now(), deadline);
    EXPECT_EQ(other.requests().size(), 0U);
}

TEST_F(UpstreamTlsTest, AnEngineThatDoesNotKnowTheGatewayHearsNoRequest) {
    const test::TestCa stranger(world_.dir().file("stranger-ca.crt"));
    net::TlsFiles files = files_of("engine");
    files.ca = world_.dir().file("stranger-ca.crt");
    FakeEngine engine(files, test::answer_briefly);
    publish({&engine});
    EXPECT_EQ(post(kUnaryBody).status, 502);
    EXPECT_EQ(engine.requests().size(), 0U);
}

TEST_F(UpstreamTlsTest, WithoutACertificateOfItsOwnATlsAddressIsUnreachable) {
    options_.settings.upstream_tls.reset();
    FakeEngine engine(files_of("engine"), test::answer_briefly);
    publish({&engine});
    EXPECT_EQ(post(kUnaryBody).status, 502);
    EXPECT_EQ(engine.num_connections(), 0U);
}

TEST_F(UpstreamTlsTest, AnEngineThatDoesNotShakeHandsIsUnreachable) {
    options_.times.connect = std::chrono::milliseconds(50);
    // Accepts by its backlog alone.
    const UniqueFd silent(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    ASSERT_EQ(::bind(silent.get(), raw, size), 0);
    ASSERT_EQ(::listen(silent.get(), 16), 0);
    ASSERT_EQ(::getsockname(silent.get(), raw, &size), 0);
    const std::string text = "tls:127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    controlplane_->publish(world_.snapshot({{ReplicaId("r0"), text, Epoch(7)}}));
    start_gateway();
    wait_for_ready(200);
    EXPECT_EQ(post(kUnaryBody).status, 502);
}

TEST_F(UpstreamTlsTest, FilesThatCannotBeReadAreNamedAtTheStart) {
    options_.settings.upstream_tls->ca = world_.dir().file("absent.crt");
    const auto started = Gateway::start(options_, clock_, log_);
    ASSERT_FALSE(started.has_value());
    EXPECT_THAT(started.error().message, HasSubstr("absent.crt"));
}

}  // namespace
}  // namespace turnpike::gateway
