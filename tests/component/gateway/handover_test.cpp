// A second gateway takes over from a running one: no stream is cut, no connection refused, no
// record lost or doubled, and one that cannot serve leaves the first as it was.
#include <gmock/gmock.h>

#include <csignal>

#include "gateway/edge/outbox_slots.h"
#include "gateway/edge/share_file.h"
#include "tests/component/gateway/gateway_fixture.h"

namespace turnpike::gateway {
namespace {

using controlplane::Outcome;
using controlplane::UsageRecord;
using test::EngineConnection;
using test::EngineRequest;
using test::FakeEngine;
using test::Latch;
using testing::HasSubstr;

class HandoverTest : public GatewayTest {
  protected:
    HandoverTest() {
        std::signal(SIGPIPE, SIG_IGN);  // as the gateway's main does
        options_.settings.handover_socket = world_.dir().file("handover");
        options_.settings.metrics_listen = "unix:" + world_.dir().file("metrics");
        options_.times.handed_over = std::chrono::milliseconds(200);
        options_.on_handed_over = [this] { handed_over_.set(); };
    }

    // Replaces gateway_, which is returned, by another one.
    std::unique_ptr<Gateway> upgrade() {
        std::unique_ptr<Gateway> old = std::move(gateway_);
        start_gateway();
        return old;
    }

    // Answers once it is told to.
    FakeEngine::Script on_latch(Latch& may_finish) {
        return [&may_finish](const EngineRequest&, EngineConnection& to) {
            to.begin();
            to.meter({9, 0, 1, 0});
            to.event("{}");
            EXPECT_TRUE(may_finish.wait());
            to.meter({9, 0, 2, 0});
            to.done();
            to.end();
        };
    }

    std::string slot(int number) const {
        return number == 1 ? options_.settings.outbox_dir
                           : options_.settings.outbox_dir + "/" + std::to_string(number);
    }

    static std::int64_t share_in(const std::string& slot) {
        const auto share = load_share(slot);
        return share ? *share : -1;
    }

    Latch handed_over_;
};

TEST_F(HandoverTest, AStreamSpansItAndEverythingElseGoesToTheNewOne) {
    Latch may_finish;
    FakeEngine engine(engine_path(0), on_latch(may_finish));
    publish({&engine});
    const std::uint16_t port = gateway_->addresses().front().port;
    test::TlsClient stream(port);
    stream.send(post_text(kStreamBody));
    stream.read_until("data: {}\n\n");
    test::TlsClient silent(port);  // has not asked yet
    test::TlsClient kept(port);
    kept.send(get_text("/healthz"));
    EXPECT_EQ(kept.read_response().status, 200);

    engine.set_script(test::answer_briefly);
    const auto old = upgrade();
    ASSERT_NE(gateway_, nullptr);
    EXPECT_TRUE(handed_over_.wait());
    EXPECT_EQ(gateway_->addresses().front().port, port);
    EXPECT_EQ(post(kStreamBody).status, 200);
    for (test::TlsClient* each : {&silent, &kept}) {
        each->send(post_text(kUnaryBody));
        const auto answer = each->read_response();
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(answer.header("connection"), "close");
    }
    may_finish.set();
    EXPECT_THAT(stream.read_to_end(), HasSubstr("[DONE]"));
    EXPECT_TRUE(old->drain());
    EXPECT_EQ(controlplane_->wait_for_records(4).size(), 4U);
    EXPECT_EQ(controlplane_->num_conflicts(), 0U);
    EXPECT_EQ(share_in(slot(1)), 0);
    EXPECT_GT(share_in(slot(2)), 0);
}

TEST_F(HandoverTest, TheThirdUsesTheFirstOnesPlace) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    for (int i = 0; i < 4; ++i) {
        auto old = upgrade();
        ASSERT_NE(gateway_, nullptr);
        EXPECT_EQ(post(kUnaryBody).status, 200);
        EXPECT_TRUE(old->drain());
    }
    EXPECT_EQ(list_slots(options_.settings.outbox_dir).size(), 2U);
    EXPECT_EQ(controlplane_->wait_for_records(4).size(), 4U);
    net::HttpClientOptions options;
    options.address = net::parse_address(options_.settings.metrics_listen).value();
    net::HttpRequest request;
    request.method = "GET";
    request.target = "/metrics";
    const auto metrics = net::HttpClient(options).send(request);
    ASSERT_TRUE(metrics.has_value()) << metrics.error().message;
    EXPECT_EQ(metrics->status, 200);
}

TEST_F(HandoverTest, MoreOrFewerThreadsServeAllSockets) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    options_.settings.num_threads = 3;
    publish({&engine});
    for (const int num_threads : {1, 4}) {
        options_.settings.num_threads = num_threads;
        auto old = upgrade();
        ASSERT_NE(gateway_, nullptr);
        old.reset();
        // The kernel spreads connections over the sockets: one that nobody serves would show.
        for (int i = 0; i < 40; ++i) EXPECT_EQ(get("/healthz").status, 200);
    }
}

TEST_F(HandoverTest, OneThatCannotServeLeavesTheFirstAsItWas) {
    Latch may_finish;
    FakeEngine engine(engine_path(0), on_latch(may_finish));
    publish({&engine});
    test::TlsClient stream(gateway_->addresses().front().port);
    stream.send(post_text(kStreamBody));
    stream.read_until("data: {}\n\n");
    GatewayOptions broken = options_;
    broken.settings.pepper_file = world_.dir().file("missing");
    EXPECT_FALSE(Gateway::start(broken, clock_, log_).has_value());
    // One that stops after it was given everything.
    {
        const auto found = net::Predecessor::find(options_.settings.handover_socket);
        ASSERT_TRUE(found.has_value() && found->has_value());
    }
    engine.set_script(test::answer_briefly);
    EXPECT_EQ(post(kUnaryBody).status, 200);
    may_finish.set();
    EXPECT_THAT(stream.read_until("[DONE]"), HasSubstr("[DONE]"));
    auto old = upgrade();
    ASSERT_NE(gateway_, nullptr);
    EXPECT_TRUE(old->drain());
    EXPECT_EQ(post(kUnaryBody).status, 200);
    EXPECT_EQ(controlplane_->wait_for_records(3).size(), 3U);
}

TEST_F(HandoverTest, WhatTheOldOneLeavesIsInherited) {
    FakeEngine engine(engine_path(0), [&](const EngineRequest& request, EngineConnection& to) {
        engine.set_meter(request.header("x-request-id"), {9, 0, 5, 0}, false);
        to.begin();
        to.meter({9, 0, 1, 0});
        to.event("{}");
        EXPECT_TRUE(to.wait_for_fin());
        engine.set_meter(request.header("x-request-id"), {9, 0, 5, 0}, true);
        to.close();
    });
    publish({&engine});
    test::TlsClient stream(gateway_->addresses().front().port);
    stream.send(post_text(kStreamBody));
    stream.read_until("data: {}\n\n");
    auto old = upgrade();
    ASSERT_NE(gateway_, nullptr);
    old.reset();  // without a drain, as if it was killed
    const auto records = controlplane_->wait_for_records(1);
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].outcome, Outcome::kGatewayFailed);
    EXPECT_EQ(records[0].usage.completion_tokens, 5);
    const SteadyTime deadline = clock_.steady_now() + std::chrono::seconds(20);
    while (share_in(slot(1)) != 0) ASSERT_LT(clock_.steady_now(), deadline);
}

TEST_F(HandoverTest, WithoutAHandoverSocketASecondOneIsRefused) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    options_.settings.handover_socket = "";
    options_.settings.metrics_listen = "";
    publish({&engine});
    const auto second = Gateway::start(options_, clock_, log_);
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, ErrorCode::kConflict);
    EXPECT_THAT(second.error().message, HasSubstr("another gateway uses the outbox"));
}

}  // namespace
}  // namespace turnpike::gateway
