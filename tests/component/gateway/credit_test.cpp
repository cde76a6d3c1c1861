// Credit at the wire: held before dispatch, refused when it is gone, ended in mid-stream with what
// is paid for, and nothing held after any end.
#include <gmock/gmock.h>

#include <csignal>

#include "tests/component/gateway/gateway_fixture.h"

namespace turnpike::gateway {
namespace {

using controlplane::Outcome;
using test::EngineConnection;
using test::EngineRequest;
using test::FakeEngine;
using testing::HasSubstr;
using testing::Not;

// A request of the fixture's bodies holds its prompt and 4,096 tokens at 100 nano-dollars.
constexpr std::int64_t kHeldForOutput = 409'600;

class CreditTest : public GatewayTest {
  protected:
    CreditTest() {
        std::signal(SIGPIPE, SIG_IGN);  // as the gateway's main does
        options_.settings.unleased = NanoUsd(0);
    }

    void expect_nothing_held() {
        const SteadyTime deadline = clock_.steady_now() + std::chrono::seconds(20);
        while (gateway_->leases().num_holds() > 0) ASSERT_LT(clock_.steady_now(), deadline);
    }

    // Answers with `counts` of output tokens, an event each, until it is told to stop; then ends
    // with the last count.
    static FakeEngine::Script until_stopped(std::vector<TokenCount> counts) {
        return [counts](const EngineRequest&, EngineConnection& connection) {
            connection.begin();
            connection.meter({12, 0, 0, 0});
            for (const TokenCount count : counts) {
                connection.meter({12, 0, count, 0});
                connection.event(R"({"choices":[{"index":0,"delta":{"content":"x"}}]})");
            }
            connection.wait_for_fin();
            connection.meter({12, 0, counts.back() + 2, 0});
            connection.end();
            connection.close();
        };
    }
};

TEST_F(CreditTest, WithoutCreditIs402AndIsNotDispatched) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    controlplane_->set_credit(NanoUsd(kHeldForOutput));
    publish({&engine});
    for (const char* body : {kUnaryBody, kStreamBody}) {
        const auto refused = post(body);
        EXPECT_EQ(refused.status, 402);
        EXPECT_THAT(refused.body, HasSubstr("insufficient_credit"));
    }
    EXPECT_EQ(engine.requests().size(), 0U);
    expect_nothing_held();
    controlplane_->set_credit(NanoUsd(10 * kHeldForOutput));
    const SteadyTime deadline = clock_.steady_now() + std::chrono::seconds(20);
    while (post(kUnaryBody).status != 200) ASSERT_LT(clock_.steady_now(), deadline);
}

TEST_F(CreditTest, AStreamEndsWhereTheCreditEnds) {
    FakeEngine engine(engine_path(0), until_stopped({2000, 4400}));
    controlplane_->set_credit(NanoUsd(440'000));
    publish({&engine});
    const auto response = post(kStreamBody);
    EXPECT_EQ(response.status, 200);
    EXPECT_THAT(response.body, HasSubstr(R"("delta":{"content":"x"})"));
    EXPECT_THAT(response.body, HasSubstr(R"("finish_reason":"length")"));
    EXPECT_THAT(response.body, HasSubstr("insufficient_credit"));
    EXPECT_LT(response.body.find(R"("finish_reason":"length")"),
              response.body.find("insufficient_credit"));
    EXPECT_THAT(response.body, Not(HasSubstr("[DONE]")));
    const auto records = controlplane_->wait_for_records(1);
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records.front().outcome, Outcome::kCompleted);
    EXPECT_EQ(records.front().usage, (TokenUsage{12, 0, 4402, 0}));
    expect_nothing_held();
}

TEST_F(CreditTest, AUnaryRequestEndsIn402AndIsBilled) {
    FakeEngine engine(engine_path(0), until_stopped({4400}));
    engine.set_script([](const EngineRequest&, EngineConnection& connection) {
        connection.begin();
        connection.meter({12, 0, 4400, 0});
        connection.wait_for_fin();
        connection.meter({12, 0, 4401, 0});
        connection.end();
        connection.close();
    });
    controlplane_->set_credit(NanoUsd(440'000));
    publish({&engine});
    const auto response = post(kUnaryBody);
    EXPECT_EQ(response.status, 402);
    EXPECT_THAT(response.body, HasSubstr("insufficient_credit"));
    const auto records = controlplane_->wait_for_records(1);
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records.front().usage, (TokenUsage{12, 0, 4401, 0}));
    EXPECT_TRUE(is_billed(records.front().outcome));
    expect_nothing_held();
}

TEST_F(CreditTest, EveryEndLetsGoOfWhatWasHeld) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    EXPECT_EQ(post(kUnaryBody).status, 200);
    EXPECT_EQ(post(kStreamBody).status, 200);
    expect_nothing_held();
    engine.set_script([](const EngineRequest&, EngineConnection& connection) {
        connection.refuse(400, R"({"error":{"message":"no","code":"invalid_argument"}})");
    });
    EXPECT_EQ(post(kUnaryBody).status, 400);
    expect_nothing_held();
    engine.set_script([](const EngineRequest&, EngineConnection& connection) {
        connection.begin();
        connection.meter({12, 0, 1, 0});
        connection.close();
    });
    EXPECT_EQ(post(kUnaryBody).status, 502);
    expect_nothing_held();
    engine.set_script(until_stopped({1}));
    {
        test::TlsClient client = connect();
        client.send(post_text(kStreamBody));
        client.read_until("\"content\"");
    }
    expect_nothing_held();
}

TEST_F(CreditTest, WithoutAControlPlaneTheAllowanceIsAllThereIs) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    gateway_.reset();
    controlplane_->stop();
    options_.settings.unleased = NanoUsd(2 * kHeldForOutput);
    start_gateway();
    wait_for_ready(200);
    EXPECT_EQ(post(kUnaryBody).status, 200);
    gateway_.reset();
    options_.settings.unleased = NanoUsd(0);
    start_gateway();
    wait_for_ready(200);
    EXPECT_EQ(post(kUnaryBody).status, 503);
    EXPECT_EQ(engine.requests().size(), 1U);
}

}  // namespace
}  // namespace turnpike::gateway
