// Limits at the wire: headers on every answer, exact waits, and nothing left behind by any end.
#include <algorithm>
#include <atomic>

#include "tests/component/gateway/gateway_fixture.h"

namespace turnpike::gateway {
namespace {

using controlplane::Limits;
using controlplane::LimitsRow;
using test::EngineConnection;
using test::EngineRequest;
using test::FakeEngine;
using test::Latch;

class LimitsTest : public GatewayTest {
  protected:
    // Publishes `limits` for `subject` beside one replica, and waits until they are there.
    void serve_with(FakeEngine& engine, const std::string& subject, const Limits& limits) {
        publish({&engine});
        controlplane::Snapshot state = world_.snapshot(
            {controlplane::ReplicaRow{ReplicaId("r0"), engine.address(), Epoch(7)}});
        state.limits.push_back({subject, LimitsRow{subject, limits}});
        // A revoked key of b shows that the new snapshot is in force.
        std::erase_if(state.keys, [](const auto& key) { return key.id == "key_of_org_b"; });
        controlplane_->publish(std::move(state));
        const std::string line = "authorization: Bearer " + world_.key_b() + "\r\n";
        const SteadyTime deadline = clock_.steady_now() + std::chrono::seconds(20);
        while (get("/v1/models", line).status != 401) ASSERT_LT(clock_.steady_now(), deadline);
    }
};

TEST_F(LimitsTest, BothFamiliesOfHeadersAreOnEveryAnswer) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    Limits limits;
    limits.requests_per_minute = 600;
    limits.tokens_per_minute = 60'000;
    serve_with(engine, "organisation:org_a", limits);
    for (const char* body : {kUnaryBody, kStreamBody}) {
        const auto response = post(body);
        EXPECT_EQ(response.status, 200);
        EXPECT_EQ(response.header("x-ratelimit-limit-requests"), "600");
        EXPECT_EQ(response.header("x-ratelimit-limit-tokens"), "60000");
        EXPECT_EQ(response.header("x-ratelimit-limit"), "10");
        EXPECT_EQ(response.header("x-tokenlimit-limit"), "1000");
        EXPECT_FALSE(response.header("x-ratelimit-remaining-requests").empty());
        EXPECT_FALSE(response.header("x-ratelimit-reset-tokens").empty());
    }
}

TEST_F(LimitsTest, AnswersThatConsumeNothingHaveTheHeadersToo) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    Limits limits;
    limits.requests_per_minute = 600;
    limits.tokens_per_minute = 60'000;
    serve_with(engine, "organisation:org_a", limits);
    const std::string key = "authorization: Bearer " + world_.key_a() + "\r\n";
    const auto bad_body = post("{}");
    EXPECT_EQ(bad_body.status, 400);
    const auto unknown_model =
        post(R"({"model":"none","messages":[{"role":"user","content":"x"}]})");
    EXPECT_EQ(unknown_model.status, 404);
    const auto models = get("/v1/models", key);
    EXPECT_EQ(models.status, 200);
    const auto wrong_method = get(kChat, key);
    EXPECT_EQ(wrong_method.status, 405);
    for (const auto* response : {&bad_body, &unknown_model, &models}) {
        EXPECT_EQ(response->header("x-ratelimit-remaining-requests"), "600");
        EXPECT_EQ(response->header("x-ratelimit-limit"), "10");
        EXPECT_EQ(response->header("x-tokenlimit-limit"), "1000");
    }
    EXPECT_EQ(get("/v1/models").header("x-ratelimit-limit-requests"), "");
}

TEST_F(LimitsTest, OneTooManyIs429WithAnExactWaitAndIsNotDispatched) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    Limits limits;
    limits.requests_per_minute = 1;
    serve_with(engine, "key:key_of_org_a", limits);
    EXPECT_EQ(post(kUnaryBody).status, 200);
    const auto refused = post(kUnaryBody);
    EXPECT_EQ(refused.status, 429);
    EXPECT_NE(refused.body.find("rate_limit_exceeded"), std::string::npos);
    EXPECT_NE(refused.body.find("the key's limit of 1 requests per minute"), std::string::npos);
    const int seconds = std::stoi(refused.header("retry-after"));
    const int ms = std::stoi(refused.header("retry-after-ms"));
    EXPECT_EQ(seconds, (ms + 999) / 1000);
    EXPECT_GT(ms, 30'000);
    EXPECT_LE(ms, 60'000);
    EXPECT_EQ(refused.header("x-ratelimit-remaining-requests"), "0");
    EXPECT_FALSE(refused.header("x-ratelimit-reset").empty());
    EXPECT_EQ(engine.requests().size(), 1U);
}

TEST_F(LimitsTest, EnginesRefusalConsumesNoRequest) {
    FakeEngine engine(engine_path(0), [](const EngineRequest&, EngineConnection& connection) {
        connection.refuse(400, R"({"error":{"message":"no","code":"invalid_argument"}})");
    });
    Limits limits;
    limits.requests_per_minute = 1;
    serve_with(engine, "organisation:org_a", limits);
    EXPECT_EQ(post(kUnaryBody).status, 400);
    EXPECT_EQ(post(kUnaryBody).status, 400);
}

// With room for one request at a time, whatever ends it makes room for the next.
TEST_F(LimitsTest, EveryEndFreesItsSlot) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    Limits limits;
    limits.concurrent_requests = 1;
    serve_with(engine, "model:tiny", limits);
    const auto expect_free = [&] {
        engine.set_script(test::answer_briefly);
        const SteadyTime deadline = clock_.steady_now() + std::chrono::seconds(20);
        while (post(kUnaryBody).status != 200) ASSERT_LT(clock_.steady_now(), deadline);
    };
    EXPECT_EQ(post(kStreamBody).status, 200);
    expect_free();
    // Crashes before the first byte, and in the middle of a stream.
    engine.set_script(
        [](const EngineRequest&, EngineConnection& connection) { connection.close(); });
    EXPECT_EQ(post(kUnaryBody).status, 502);
    expect_free();
    engine.set_script([](const EngineRequest&, EngineConnection& connection) {
        connection.begin();
        connection.meter({12, 0, 1, 0});
        connection.event(R"({"choices":[]})");
        connection.close();
    });
    EXPECT_EQ(post(kStreamBody).status, 200);
    expect_free();
    // A client that leaves while it waits for the first byte, and while it streams.
    for (const bool has_begun : {false, true}) {
        Latch is_there;
        engine.set_script([&](const EngineRequest&, EngineConnection& connection) {
            connection.begin();
            if (has_begun) {
                connection.meter({12, 0, 1, 1});
                connection.event(R"({"choices":[]})");
            }
            is_there.set();
            connection.wait_for_fin();
            connection.meter({12, 0, 2, 2});
            connection.end();
        });
        {
            test::TlsClient client = connect();
            client.send(post_text(kStreamBody));
            ASSERT_TRUE(is_there.wait());
            EXPECT_EQ(post(kUnaryBody).status, 429);
        }
        expect_free();
    }
}

TEST_F(LimitsTest, TruthReplacesTheEstimateOfTokens) {
    FakeEngine engine(engine_path(0), test::answer_briefly);  // 12 and 2 tokens
    Limits limits;
    limits.tokens_per_minute = 1000;
    serve_with(engine, "organisation:org_a", limits);
    EXPECT_EQ(post(kUnaryBody).status, 200);
    const auto second = post(kUnaryBody);
    const std::string body = kUnaryBody;
    const auto estimate = static_cast<int>((body.size() + 2) / 3);
    const int remaining = std::stoi(second.header("x-ratelimit-remaining-tokens"));
    EXPECT_GE(remaining, 1000 - 14 - estimate);
    EXPECT_LT(remaining, 1000 - 14 - estimate + 20);  // a second's worth may have drained
}

}  // namespace
}  // namespace turnpike::gateway
