// Faults: clients that leave, engines that die, and who pays for it.
#include <gmock/gmock.h>
#include <unistd.h>

#include <cerrno>

#include "tests/component/gateway/gateway_fixture.h"

namespace turnpike::gateway {
namespace {

using controlplane::Outcome;
using test::EngineConnection;
using test::EngineRequest;
using test::FakeEngine;
using test::Latch;
using test::RawResponse;
using testing::HasSubstr;
using testing::Not;

class FaultTest : public GatewayTest {
  protected:
    // An engine that sends one event, then waits for FIN and reports three tokens, as a real one
    // does after a cancellation.
    controlplane::UsageRecord only_record() {
        const auto records = controlplane_->wait_for_records(1);
        EXPECT_EQ(records.size(), 1U);
        return records.empty() ? controlplane::UsageRecord() : records.front();
    }
};

TEST_F(FaultTest, ClientThatHalfClosesPaysForTheLastMeterLine) {
    FakeEngine engine(engine_path(0), wait_to_be_cancelled);
    publish({&engine});
    test::TlsClient client = connect();
    client.send(post_text(kStreamBody));
    client.read_until("data: {}\n\n");
    client.half_close();
    const auto record = only_record();
    EXPECT_EQ(record.outcome, Outcome::kClientGone);
    EXPECT_EQ(record.usage, (TokenUsage{9, 0, 3, 0}));
    EXPECT_EQ(record.http_status, 200);
}

TEST_F(FaultTest, ClientThatResetsPaysForTheLastMeterLine) {
    FakeEngine engine(engine_path(0), wait_to_be_cancelled);
    publish({&engine});
    test::TlsClient client = connect();
    client.send(post_text(kStreamBody));
    client.read_until("data: {}\n\n");
    client.reset();
    EXPECT_EQ(only_record().outcome, Outcome::kClientGone);
    EXPECT_EQ(only_record().usage, (TokenUsage{9, 0, 3, 0}));
}

TEST_F(FaultTest, ClientThatLeavesAUnaryRequestCancelsIt) {
    FakeEngine engine(engine_path(0), [](const EngineRequest&, EngineConnection& connection) {
        connection.begin();
        connection.meter({9, 0, 0, 0});
        EXPECT_TRUE(connection.wait_for_fin());
        connection.meter({9, 0, 1, 0});
        connection.end();
        connection.close();
    });
    publish({&engine});
    {
        test::TlsClient client = connect();
        client.send(post_text(kUnaryBody));
        while (engine.requests().empty()) std::this_thread::yield();
        client.close();
    }
    EXPECT_EQ(only_record().outcome, Outcome::kClientGone);
    EXPECT_EQ(only_record().usage, (TokenUsage{9, 0, 1, 0}));
}

TEST_F(FaultTest, EngineThatDoesNotAnswerACancelIsAskedForItsCount) {
    options_.times.cancel = std::chrono::milliseconds(50);
    Latch is_over;
    FakeEngine engine(engine_path(0), [&](const EngineRequest& request, EngineConnection& to) {
        to.begin();
        to.meter({9, 0, 1, 0});
        to.event("{}");
        EXPECT_TRUE(to.wait_for_fin());
        engine.set_meter(request.header("x-request-id"), {9, 0, 4, 0}, true);
        EXPECT_TRUE(is_over.wait());
        to.close();
    });
    publish({&engine});
    test::TlsClient client = connect();
    client.send(post_text(kStreamBody));
    client.read_until("data: {}\n\n");
    client.close();
    EXPECT_EQ(only_record().outcome, Outcome::kClientGone);
    EXPECT_EQ(only_record().usage, (TokenUsage{9, 0, 4, 0}));
    is_over.set();
}

TEST_F(FaultTest, EngineThatCameBackElsewhereIsAskedThere) {
    std::string request_id;
    std::unique_ptr<FakeEngine> first;
    first = std::make_unique<FakeEngine>(
        engine_path(0), [&](const EngineRequest& request, EngineConnection& to) {
            request_id = request.header("x-request-id");
            first->set_meter(request_id, {7, 0, 1, 0}, /*is_final=*/false);
            to.begin();
            to.meter({7, 0, 1, 0});
            to.event("{}");
            to.close();
        });
    publish({first.get()});
    EXPECT_THAT(post(kStreamBody).body, HasSubstr("\"error\""));
    first->die();
    // The same replica, and its meter file.
    FakeEngine second(engine_path(1), test::answer_briefly);
    second.set_meter(request_id, {7, 0, 5, 0}, true);
    publish({&second});
    EXPECT_EQ(only_record().outcome, Outcome::kReplicaFailed);
    EXPECT_EQ(only_record().usage, (TokenUsage{7, 0, 5, 0}));
}

TEST_F(FaultTest, EngineThatDiesBeforeTheFirstByteIs502) {
    FakeEngine engine(engine_path(0), [&](const EngineRequest& request, EngineConnection& to) {
        engine.set_meter(request.header("x-request-id"), {7, 0, 1, 0}, true);
        to.close();
    });
    publish({&engine});
    const RawResponse response = post(kStreamBody);
    EXPECT_EQ(response.status, 502);
    EXPECT_EQ(engine.requests().size(), 1U);
    const auto record = only_record();
    EXPECT_EQ(record.outcome, Outcome::kReplicaFailed);
    EXPECT_EQ(record.http_status, 502);
    EXPECT_EQ(record.usage, (TokenUsage{7, 0, 1, 0}));
}

TEST_F(FaultTest, EngineThatDiesAfterMeteringOnlyIsStill502) {
    FakeEngine engine(engine_path(0), [&](const EngineRequest& request, EngineConnection& to) {
        engine.set_meter(request.header("x-request-id"), {7, 0, 2, 0}, true);
        to.begin();
        to.meter({7, 0, 0, 0});
        to.close();
    });
    publish({&engine});
    EXPECT_EQ(post(kStreamBody).status, 502);
    EXPECT_EQ(post(kUnaryBody).status, 502);
    for (const auto& record : controlplane_->wait_for_records(2)) {
        EXPECT_EQ(record.outcome, Outcome::kReplicaFailed);
        EXPECT_EQ(record.usage, (TokenUsage{7, 0, 2, 0}));
    }
}

TEST_F(FaultTest, EngineThatDiesInMidStreamEndsItWithAnError) {
    FakeEngine engine(engine_path(0), [&](const EngineRequest& request, EngineConnection& to) {
        engine.set_meter(request.header("x-request-id"), {7, 0, 5, 0}, true);
        to.begin();
        to.meter({7, 0, 1, 0});
        to.event("{}");
        to.send("30\r\ndata: half an ev");
        to.close();
    });
    publish({&engine});
    test::TlsClient client = connect();
    client.send(post_text(kStreamBody));
    const RawResponse response = client.read_response();
    EXPECT_EQ(response.status, 200);
    EXPECT_TRUE(response.is_whole);
    EXPECT_THAT(response.body, HasSubstr("data: {}\n\ndata: {\"id\":"));
    EXPECT_THAT(response.body, HasSubstr("\"error\""));
    EXPECT_THAT(response.body, Not(HasSubstr("[DONE]")));
    EXPECT_THAT(response.body, Not(HasSubstr("half")));
    EXPECT_EQ(client.read_to_end(), "");
    EXPECT_EQ(only_record().outcome, Outcome::kReplicaFailed);
    EXPECT_EQ(only_record().usage, (TokenUsage{7, 0, 5, 0}));
}

TEST_F(FaultTest, EnginesOwnErrorEventIsPassedOnAndWrittenOff) {
    FakeEngine engine(engine_path(0), [](const EngineRequest& request, EngineConnection& to) {
        to.begin();
        to.meter({7, 0, 1, 0});
        if (request.body == FaultTest::kStreamBody) to.event("{}");
        to.event(R"({"error":{"message":"queue","code":"unavailable"}})");
        to.end();
    });
    publish({&engine});
    const RawResponse unary = post(kUnaryBody);
    EXPECT_EQ(unary.status, 503);
    EXPECT_EQ(unary.body, R"({"error":{"message":"queue","code":"unavailable"}})");
    EXPECT_EQ(unary.header("retry-after"), "1");
    const RawResponse stream = post(kStreamBody);
    EXPECT_EQ(stream.status, 200);
    EXPECT_EQ(stream.body,
              "data: {}\n\ndata: {\"error\":{\"message\":\"queue\",\"code\":\"unavailable\"}}\n\n");
    for (const auto& record : controlplane_->wait_for_records(2)) {
        EXPECT_EQ(record.outcome, Outcome::kReplicaFailed);
        EXPECT_EQ(record.usage, (TokenUsage{7, 0, 1, 0}));
    }
}

TEST_F(FaultTest, EngineThatBreaksTheProtocolIs502) {
    FakeEngine engine(engine_path(0), [](const EngineRequest&, EngineConnection& to) {
        to.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    });
    publish({&engine});
    EXPECT_EQ(post(kUnaryBody).status, 502);
    engine.set_script([](const EngineRequest&, EngineConnection& to) { to.send("hello\r\n\r\n"); });
    EXPECT_EQ(post(kUnaryBody).status, 502);
    engine.set_script([](const EngineRequest&, EngineConnection& to) {
        to.begin();
        to.chunk(": meter 5 6 7\n\n");
    });
    EXPECT_EQ(post(kUnaryBody).status, 502);
    // Nobody knows these requests: no tokens.
    for (const auto& record : controlplane_->wait_for_records(3)) {
        EXPECT_EQ(record.outcome, Outcome::kReplicaFailed);
        EXPECT_EQ(record.usage, TokenUsage());
    }
}

TEST_F(FaultTest, ConnectionClosedWhileIdleIsReplaced) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    EXPECT_EQ(post(kUnaryBody).status, 200);
    engine.drop_connections();
    EXPECT_EQ(post(kUnaryBody).status, 200);
    EXPECT_EQ(engine.num_connections(), 2U);
}

TEST_F(FaultTest, ConnectionClosedUnderTheRequestIsTriedOnceMore) {
    std::atomic<int> number = 0;
    FakeEngine engine(engine_path(0), [&](const EngineRequest& request, EngineConnection& to) {
        if (++number == 2) return to.close();
        test::answer_briefly(request, to);
    });
    publish({&engine});
    EXPECT_EQ(post(kUnaryBody).status, 200);
    const RawResponse second = post(kUnaryBody);
    EXPECT_EQ(second.status, 200);
    const auto requests = engine.requests();
    ASSERT_EQ(requests.size(), 3U);
    // Each dispatch has a record of its own, so that none can be billed twice.
    EXPECT_NE(requests[1].header("x-request-id"), requests[2].header("x-request-id"));
    EXPECT_EQ(requests[2].header("x-request-id"), second.header("x-request-id"));
    int num_failed = 0;
    for (const auto& record : controlplane_->wait_for_records(3)) {
        if (record.outcome == Outcome::kReplicaFailed) ++num_failed;
    }
    EXPECT_EQ(num_failed, 1);
}

TEST_F(FaultTest, UnreachableReplicaIsPassedOver) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    auto dead = std::make_unique<FakeEngine>(engine_path(1), test::answer_briefly);
    publish({dead.get(), &engine});
    dead->die();
    for (int i = 0; i < 8; ++i) EXPECT_EQ(post(kUnaryBody).status, 200);
    EXPECT_EQ(engine.requests().size(), 8U);
    engine.die();
    EXPECT_EQ(post(kUnaryBody).status, 502);
    // Nothing was dispatched, so nothing is recorded.
    EXPECT_EQ(controlplane_->wait_for_records(8).size(), 8U);
}

TEST_F(FaultTest, StaleEpochIsA503) {
    FakeEngine engine(engine_path(0), [](const EngineRequest&, EngineConnection& to) {
        to.refuse(409, R"({"error":{"message":"epoch"}})");
    });
    publish({&engine});
    const RawResponse response = post(kUnaryBody);
    EXPECT_EQ(response.status, 503);
    EXPECT_EQ(response.header("retry-after"), "1");
    FakeEngine other(engine_path(1), test::answer_briefly);
    publish({&engine, &other});
    const SteadyTime deadline = clock_.steady_now() + std::chrono::seconds(20);
    while (post(kUnaryBody).status != 200) ASSERT_LT(clock_.steady_now(), deadline);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(post(kUnaryBody).status, 200);
}

TEST_F(FaultTest, RequestThatTakesTooLongIs504AndWrittenOff) {
    options_.times.request = std::chrono::milliseconds(80);
    FakeEngine engine(engine_path(0), [](const EngineRequest& request, EngineConnection& to) {
        to.begin();
        to.meter({9, 0, 1, 0});
        if (request.body == FaultTest::kStreamBody) to.event("{}");
        EXPECT_TRUE(to.wait_for_fin());
        to.meter({9, 0, 3, 0});
        to.end();
        to.close();
    });
    publish({&engine});
    EXPECT_EQ(post(kUnaryBody).status, 504);
    const RawResponse stream = post(kStreamBody);
    EXPECT_EQ(stream.status, 200);
    EXPECT_THAT(stream.body, HasSubstr("gateway_timeout"));
    EXPECT_THAT(stream.body, Not(HasSubstr("[DONE]")));
    for (const auto& record : controlplane_->wait_for_records(2)) {
        EXPECT_EQ(record.outcome, Outcome::kReplicaFailed);
        EXPECT_EQ(record.usage, (TokenUsage{9, 0, 3, 0}));
    }
}

TEST_F(FaultTest, SlowReaderGetsEverything) {
    constexpr int kNumEvents = 5'000;
    Latch is_stuck;
    FakeEngine engine(engine_path(0), [&](const EngineRequest&, EngineConnection& to) {
        to.begin();
        const std::string text(2000, 'x');
        for (int i = 1; i <= kNumEvents; ++i) {
            if (!to.has_room()) is_stuck.set();
            to.meter({9, 0, i, 0});
            to.event("{\"text\":\"" + text + "\"}");
        }
        to.done();
        to.end();
    });
    publish({&engine});
    test::TlsClient client = connect(64 * 1024);
    client.send(post_text(kStreamBody));
    // All buffers on the way are full before the first byte is read.
    EXPECT_TRUE(is_stuck.wait());
    const RawResponse response = client.read_response();
    EXPECT_TRUE(response.is_whole);
    EXPECT_GT(response.body.size(), std::size_t{kNumEvents} * 2000);
    EXPECT_EQ(only_record().outcome, Outcome::kCompleted);
    EXPECT_EQ(only_record().usage, (TokenUsage{9, 0, kNumEvents, 0}));
}

TEST_F(FaultTest, ReaderThatStopsReadingIsGone) {
    options_.times.client_stall = std::chrono::milliseconds(80);
    FakeEngine engine(engine_path(0), [](const EngineRequest&, EngineConnection& to) {
        to.begin();
        const std::string text(10'000, 'x');
        // Far more than all the buffers between here and the client.
        for (int i = 1; i <= 2000; ++i) {
            to.meter({9, 0, i, 0});
            if (!to.event("{\"text\":\"" + text + "\"}")) break;
        }
        to.meter({9, 0, 2001, 0});
        to.end();
        to.close();
    });
    publish({&engine});
    test::TlsClient client = connect(4096);
    client.send(post_text(kStreamBody));
    EXPECT_EQ(only_record().outcome, Outcome::kClientGone);
    EXPECT_EQ(only_record().usage, (TokenUsage{9, 0, 2001, 0}));
}

TEST_F(FaultTest, LastBytesAreWithheldWhenTheirRecordCannotBeWritten) {
    auto is_failing = std::make_shared<std::atomic<bool>>(false);
    options_.outbox_ops.write = [is_failing](int fd, const void* bytes,
                                             std::size_t size) -> ssize_t {
        if (!*is_failing) return ::write(fd, bytes, size);
        errno = EIO;
        return -1;
    };
    FakeEngine engine(engine_path(0), [&](const EngineRequest& request, EngineConnection& to) {
        *is_failing = true;  // after the opened entry
        test::answer_briefly(request, to);
    });
    publish({&engine});
    const RawResponse stream = post(kStreamBody);
    EXPECT_THAT(stream.body, Not(HasSubstr("[DONE]")));
    EXPECT_THAT(stream.body, HasSubstr("could not be recorded"));
    *is_failing = false;
    const auto record = only_record();
    EXPECT_EQ(record.outcome, Outcome::kGatewayFailed);
    EXPECT_EQ(record.usage, (TokenUsage{12, 0, 2, 0}));
}

}  // namespace
}  // namespace turnpike::gateway
