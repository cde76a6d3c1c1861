// An endpoint that has scaled to none: its requests wait, the control plane hears of them at once,
// and they are answered by the replica that comes.
#include "gateway/edge/cold_wait.h"

#include <gmock/gmock.h>

#include "tests/component/gateway/gateway_fixture.h"

namespace turnpike::gateway {
namespace {

using test::FakeEngine;
using testing::HasSubstr;
using testing::Not;

constexpr char kQueued[] = R"("queued":1)";
constexpr char kInFlight[] = R"("endpoint":"endpoint-1","in_flight":1,)";
constexpr char kNothing[] = R"("endpoints":[])";
constexpr char kComment[] = ": a replica of this model is starting\n\n";

class ColdWaitTest : public GatewayTest {
  protected:
    // The newest snapshot has the engine as its replica.
    void warm(const FakeEngine& engine) {
        controlplane_->publish(world_.snapshot({{ReplicaId("r0"), engine.address(), Epoch(7)}}));
    }
};

TEST_F(ColdWaitTest, AUnaryRequestIsAnsweredByTheReplicaThatComes) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish_cold();
    test::TlsClient client = connect();
    client.send(post_text(kUnaryBody));
    ASSERT_TRUE(controlplane_->wait_for_load(kQueued));
    warm(engine);
    const test::RawResponse response = client.read_response();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, R"({"object":"chat.completion","choices":[]})");
    EXPECT_EQ(controlplane_->wait_for_records(1).size(), 1U);
    EXPECT_TRUE(controlplane_->wait_for_load(kNothing));
}

TEST_F(ColdWaitTest, AStreamIsKeptAliveWithComments) {
    test::Latch may_answer;
    FakeEngine engine(engine_path(0), [&](const auto& request, auto& connection) {
        EXPECT_TRUE(may_answer.wait());
        test::answer_briefly(request, connection);
    });
    publish_cold();
    test::TlsClient client = connect();
    client.send(post_text(kStreamBody));
    const std::string begin = client.read_until(kComment);
    EXPECT_THAT(begin, HasSubstr("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(begin, HasSubstr("content-type: text/event-stream"));
    EXPECT_THAT(begin, HasSubstr("x-request-id: "));
    warm(engine);
    EXPECT_TRUE(controlplane_->wait_for_load(kInFlight));
    may_answer.set();
    const std::string rest = client.read_until("0\r\n\r\n");
    EXPECT_THAT(rest, HasSubstr("data: [DONE]"));
    EXPECT_THAT(rest, Not(HasSubstr("HTTP/1.1")));
    EXPECT_EQ(controlplane_->wait_for_records(1).size(), 1U);
    // The connection serves on.
    client.send(post_text(kUnaryBody));
    EXPECT_EQ(client.read_response().status, 200);
}

TEST_F(ColdWaitTest, AUnaryRequestHearsToTryAgain) {
    options_.times.cold_unary = std::chrono::milliseconds(50);
    publish_cold();
    const test::RawResponse response = post(kUnaryBody);
    EXPECT_EQ(response.status, 503);
    EXPECT_FALSE(response.header("retry-after").empty());
    EXPECT_THAT(response.body, HasSubstr("is starting"));
    EXPECT_TRUE(controlplane_->wait_for_load(kNothing));
}

TEST_F(ColdWaitTest, AStreamThatHasBegunEndsWithAnErrorEvent) {
    publish_cold();
    test::TlsClient client = connect();
    client.send(post_text(kStreamBody));
    client.read_until(kComment);
    controlplane_->publish(world_.snapshot({}));  // it is stopped
    const std::string rest = client.read_to_end();
    EXPECT_THAT(rest, HasSubstr("\"error\":{\"message\":"));
    EXPECT_THAT(rest, HasSubstr("no replica of this model is ready"));
    EXPECT_THAT(rest, Not(HasSubstr("[DONE]")));
    EXPECT_THAT(rest, HasSubstr("0\r\n\r\n"));
}

TEST_F(ColdWaitTest, AClientThatLeavesWaitsNoLonger) {
    publish_cold();
    test::TlsClient client = connect();
    client.send(post_text(kUnaryBody));
    ASSERT_TRUE(controlplane_->wait_for_load(kQueued));
    client.close();
    EXPECT_TRUE(controlplane_->wait_for_load(kNothing));
}

TEST_F(ColdWaitTest, ARequestThatSomebodyAnswersIsInFlight) {
    test::Latch may_answer;
    FakeEngine engine(engine_path(0), [&](const auto& request, auto& connection) {
        EXPECT_TRUE(may_answer.wait());
        test::answer_briefly(request, connection);
    });
    publish({&engine});
    test::TlsClient client = connect();
    client.send(post_text(kUnaryBody));
    EXPECT_TRUE(controlplane_->wait_for_load(kInFlight));
    may_answer.set();
    EXPECT_EQ(client.read_response().status, 200);
    EXPECT_TRUE(controlplane_->wait_for_load(kNothing));
}

}  // namespace
}  // namespace turnpike::gateway
