// Answers: what a client gets, what an engine is sent, and what is recorded.
#include "gateway/edge/relay.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "gateway/edge/files.h"
#include "gateway/edge/outbox_scan.h"
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
using testing::Not;

class RelayTest : public GatewayTest {};

TEST_F(RelayTest, UnaryAnswerIsUnwrappedForwardedAndRecorded) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    const test::RawResponse response = post(kUnaryBody);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, R"({"object":"chat.completion","choices":[]})");
    EXPECT_EQ(response.header("content-type"), "application/json");
    EXPECT_EQ(response.header("content-length"), std::to_string(response.body.size()));
    EXPECT_FALSE(response.header("date").empty());

    ASSERT_EQ(engine.requests().size(), 1U);
    const EngineRequest seen = engine.requests().front();
    EXPECT_EQ(seen.path(), kChat);
    EXPECT_EQ(seen.body, kUnaryBody);
    EXPECT_EQ(seen.header("x-request-id"), response.header("x-request-id"));
    EXPECT_EQ(seen.header("x-turnpike-meter"), "1");
    EXPECT_EQ(seen.header("x-turnpike-epoch"), "7");
    EXPECT_EQ(seen.header("x-turnpike-cache-salt"), "salt_of_org_a");
    EXPECT_THAT(seen.head, Not(HasSubstr(world_.key_a())));

    const auto records = controlplane_->wait_for_records(1);
    ASSERT_EQ(records.size(), 1U);
    const UsageRecord& record = records.front();
    EXPECT_EQ(record.request_id.value(), response.header("x-request-id"));
    EXPECT_EQ(record.org.value(), "org_a");
    EXPECT_EQ(record.key.value(), "key_of_org_a");
    EXPECT_EQ(record.model, "tiny");
    EXPECT_EQ(record.served_model, "turnpike/tiny-random");
    EXPECT_EQ(record.replica.value(), "r0");
    EXPECT_EQ(record.price_version, 3);
    EXPECT_EQ(record.outcome, Outcome::kCompleted);
    EXPECT_EQ(record.http_status, 200);
    EXPECT_EQ(record.usage, (TokenUsage{12, 0, 2, 0}));
}

TEST_F(RelayTest, StreamComesEventByEventWithoutMeterLines) {
    Latch first_seen;
    Latch second_seen;
    FakeEngine engine(engine_path(0), [&](const EngineRequest&, EngineConnection& connection) {
        connection.begin();
        connection.meter({5, 0, 0, 0});
        connection.chunk(": keep-alive\n\n");
        EXPECT_TRUE(first_seen.wait());
        connection.meter({5, 0, 1, 0});
        connection.event(R"({"n":1})");
        EXPECT_TRUE(second_seen.wait());
        connection.meter({5, 0, 2, 0});
        connection.event(R"({"n":2})");
        connection.done();
        connection.end();
    });
    publish({&engine});
    test::TlsClient client = connect();
    client.send(post_text(kStreamBody));
    std::string all = client.read_until(": keep-alive\n\n");
    EXPECT_THAT(all, HasSubstr("content-type: text/event-stream"));
    EXPECT_THAT(all, HasSubstr("cache-control: no-cache\r\n"));
    EXPECT_THAT(all, HasSubstr("x-accel-buffering: no\r\n"));
    EXPECT_THAT(all, HasSubstr("x-request-id: "));
    first_seen.set();
    all += client.read_until("data: {\"n\":1}\n\n");
    second_seen.set();
    all += client.read_until("0\r\n\r\n");
    EXPECT_THAT(all, HasSubstr("data: {\"n\":2}\n\n"));
    EXPECT_THAT(all, testing::EndsWith("data: [DONE]\n\n\r\n0\r\n\r\n"));
    EXPECT_THAT(all, Not(HasSubstr("meter")));
    const auto records = controlplane_->wait_for_records(1);
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records.front().usage, (TokenUsage{5, 0, 2, 0}));

    // The connection serves on.
    engine.set_script(test::answer_briefly);
    client.send(post_text(kUnaryBody));
    EXPECT_EQ(client.read_response().status, 200);
    EXPECT_EQ(engine.num_connections(), 1U);
}

TEST_F(RelayTest, RecordIsWrittenBeforeTheLastBytes) {
    // The control plane takes nothing, so that the record stays in the outbox.
    controlplane_->set_usage_status(503);
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    const std::string request_id = post(kStreamBody).header("x-request-id");
    // The gateway still runs: what is read here is what kill -9 would have left.
    std::string log;
    for (const auto& entry : std::filesystem::directory_iterator(world_.dir().file("outbox"))) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with("segment-")) log += read_file(entry.path().string()).value();
    }
    std::vector<UsageRecord> closed;
    for (std::size_t at = 0; at < log.size();) {
        const DecodedEntry entry = decode_entry(std::string_view(log).substr(at));
        ASSERT_GT(entry.num_bytes, 0U);
        at += entry.num_bytes;
        if (entry.closed) closed.push_back(entry.closed->record);
    }
    ASSERT_EQ(closed.size(), 1U);
    EXPECT_EQ(closed.front().request_id.value(), request_id);
    EXPECT_EQ(closed.front().outcome, Outcome::kCompleted);
    controlplane_->set_usage_status(200);
    EXPECT_EQ(controlplane_->wait_for_records(1).size(), 1U);
}

TEST_F(RelayTest, LongRepliesArriveWhole) {
    const std::string long_text(3'000'000, 'x');
    FakeEngine engine(engine_path(0), [&](const EngineRequest& request, EngineConnection& to) {
        to.begin();
        to.meter({5, 0, 9, 0});
        if (request.body == kUnaryBody) {
            to.event("{\"long\":\"" + long_text + "\"}");
        } else {
            for (int i = 0; i < 20'000; ++i) to.event("{\"n\":" + std::to_string(i) + "}");
            to.done();
        }
        to.end();
    });
    publish({&engine});
    EXPECT_EQ(post(kUnaryBody).body.size(), long_text.size() + 11);
    const test::RawResponse stream = post(kStreamBody);
    EXPECT_TRUE(stream.is_whole);
    std::string expected;
    for (int i = 0; i < 20'000; ++i) expected += "data: {\"n\":" + std::to_string(i) + "}\n\n";
    EXPECT_TRUE(stream.body == expected + "data: [DONE]\n\n");
}

TEST_F(RelayTest, Http10StreamEndsWithTheConnection) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    test::TlsClient client = connect();
    std::string text = post_text(kStreamBody);
    text.replace(text.find("HTTP/1.1"), 8, "HTTP/1.0");
    client.send(text);
    const std::string all = client.read_to_end();
    EXPECT_THAT(all, Not(HasSubstr("transfer-encoding")));
    EXPECT_THAT(all, HasSubstr("connection: close\r\n"));
    EXPECT_THAT(all, testing::EndsWith("}\n\ndata: [DONE]\n\n"));
}

TEST_F(RelayTest, PowerDurabilityWaitsForTheDisk) {
    options_.settings.durability = Durability::kPower;
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    EXPECT_EQ(post(kUnaryBody).status, 200);
    EXPECT_TRUE(post(kStreamBody).is_whole);
    EXPECT_EQ(controlplane_->wait_for_records(2).size(), 2U);
}

TEST_F(RelayTest, PipelinedRequestsAreAnsweredInOrder) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    test::TlsClient client = connect();
    const std::string auth = "authorization: Bearer " + world_.key_a() + "\r\n";
    client.send(get_text("/healthz") + post_text(kStreamBody) + get_text("/v1/models", auth) +
                post_text(kUnaryBody) + get_text("/nowhere"));
    EXPECT_EQ(client.read_response().body, R"({"status":"ok"})");
    EXPECT_THAT(client.read_response().body, testing::EndsWith("data: [DONE]\n\n"));
    EXPECT_THAT(client.read_response().body, HasSubstr("a/private"));
    EXPECT_EQ(client.read_response().body, R"({"object":"chat.completion","choices":[]})");
    EXPECT_EQ(client.read_response().status, 404);
}

TEST_F(RelayTest, RequestInTheMiddleOfAStreamWaitsItsTurn) {
    Latch has_sent;
    FakeEngine engine(engine_path(0), [&](const EngineRequest& request, EngineConnection& to) {
        if (request.body == kUnaryBody) return test::answer_briefly(request, to);
        to.begin();
        to.meter({5, 0, 1, 0});
        to.event("{}");
        EXPECT_TRUE(has_sent.wait());
        to.done();
        to.end();
    });
    publish({&engine});
    test::TlsClient client = connect();
    client.send(post_text(kStreamBody));
    client.read_until("\r\n\r\n");
    client.send(post_text(kUnaryBody));
    has_sent.set();
    client.read_until("0\r\n\r\n");
    EXPECT_EQ(client.read_response().status, 200);
}

}  // namespace
}  // namespace turnpike::gateway
