// Engines are asked over mutual TLS, and only the replica that is meant is believed.
#include "controlplane/run/engine_client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <string>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/net/http_server.h"
#include "controlplane/run/engine_meter.h"
#include "engine/api/meter_line.h"
#include "engine/api/protocol.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_ca.h"

namespace turnpike::controlplane {
namespace {

const ReplicaId kReplica("rep-1");

class EngineClientTest : public testing::Test {
  protected:
    void SetUp() override {
        std::signal(SIGPIPE, SIG_IGN);
        ca_.issue(dir_.file("engine.crt"), dir_.file("engine.key"),
                  {.names = "DNS:" + std::string(engine::kEngineServerName)});
        ca_.issue(dir_.file("other.crt"), dir_.file("other.key"), {.names = "IP:127.0.0.1"});
        ca_.issue(dir_.file("me.crt"), dir_.file("me.key"), {.names = "DNS:controlplane"});
        serve("engine");
    }

    net::TlsFiles files_of(const std::string& who) const {
        return {dir_.file(who + ".crt"), dir_.file(who + ".key"), dir_.file("ca.crt")};
    }

    void serve(const std::string& who) {
        net::HttpServerOptions options;
        options.address = net::parse_address("tls:127.0.0.1:0").value();
        options.tls = files_of(who);
        server_ =
            net::HttpServer::start(
                options,
                [this](const net::HttpRequest& request,
                       const std::shared_ptr<net::HttpReply>& reply) { answer(request, reply); },
                log_)
                .value();
    }

    // As the replica "rep-1".
    void answer(const net::HttpRequest& request,
                const std::shared_ptr<net::HttpReply>& reply) const {
        EXPECT_EQ(request.headers.get(kProtocolHeader), std::to_string(engine::kProtocol));
        if (request.headers.get(engine::kReplicaHeader) != kReplica.value())
            return reply->respond({409, {}, R"({"error":{"code":"conflict"}})"});
        if (request.path() == "/health") {
            return reply->respond({200,
                                   {},
                                   engine::write_health({engine::EngineState::kReady, "", "m",
                                                         Epoch(1), 1, protocol_})});
        }
        if (request.path() == "/meter")
            return reply->respond({200, {}, engine::write_meter_totals({3, 0, {12, 0, 2, 0}})});
        reply->respond({404, {}, "{}"});
    }

    std::string address() const { return to_string(server_->address()); }

    test::TempDir dir_;
    const test::TestCa ca_{dir_.file("ca.crt")};
    SystemClock clock_;
    Log log_{clock_, "test", LogLevel::kError};
    std::atomic<int> protocol_ = engine::kProtocol;
    std::unique_ptr<net::HttpServer> server_;
    const EngineAccess access_{files_of("me"), std::chrono::seconds(10)};
};

TEST_F(EngineClientTest, ItsHealthAndItsCounts) {
    EXPECT_EQ(ask_health(address(), kReplica, access_).answer, Answer::kReady);
    auto meter = EngineMeter::at(address(), kReplica, access_).value();
    const auto totals = meter.ask_totals();
    ASSERT_TRUE(totals) << totals.error().message;
    EXPECT_EQ(totals->usage, (TokenUsage{12, 0, 2, 0}));
    EXPECT_FALSE(meter.ask_request(RequestId("r")).value().has_value());
}

TEST_F(EngineClientTest, ANumberTooFarFromOursIsAFailureThatSaysSo) {
    protocol_ = engine::kProtocol + 1;
    EXPECT_EQ(ask_health(address(), kReplica, access_).answer, Answer::kReady);
    protocol_ = engine::kProtocol + 2;
    const EngineAnswer answer = ask_health(address(), kReplica, access_);
    EXPECT_EQ(answer.answer, Answer::kFailed);
    EXPECT_EQ(answer.reason, "this control plane speaks protocol " +
                                 std::to_string(engine::kProtocol) + " and the engine " +
                                 std::to_string(engine::kProtocol + 2) +
                                 ", which may differ by one at most: upgrade the control plane");
}

TEST_F(EngineClientTest, AnotherReplicaAtItsAddressIsNoAnswer) {
    const ReplicaId other("rep-2");
    EXPECT_EQ(ask_health(address(), other, access_).answer, Answer::kNone);
    auto meter = EngineMeter::at(address(), other, access_).value();
    EXPECT_FALSE(meter.ask_totals().has_value());
    // Not "never seen", which would be billed as nothing.
    EXPECT_FALSE(meter.ask_request(RequestId("r")).has_value());
}

TEST_F(EngineClientTest, WithoutTheRightCertificatesNobodyAnswers) {
    const EngineAccess without{{}, std::chrono::seconds(10)};
    EXPECT_EQ(ask_health(address(), kReplica, without).answer, Answer::kNone);
    EXPECT_EQ(EngineMeter::at(address(), kReplica, without).error().code,
              ErrorCode::kInvalidArgument);
    serve("other");
    EXPECT_EQ(ask_health(address(), kReplica, access_).answer, Answer::kNone);
}

}  // namespace
}  // namespace turnpike::controlplane
