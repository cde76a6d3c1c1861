// The driver against a server that plays scripts: whole replies, broken ones, and being left.
#include "gateway/client/bench/load_driver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>

#include "config/base/log.h"
#include "config/net/http_server.h"
#include "gateway/client/bench/host_facts.h"
#include "tests/support/temp_dir.h"

namespace turnpike::gateway::client::bench {
namespace {

using Reply = std::shared_ptr<net::HttpReply>;

constexpr char kChunk[] =
    "data: {\"id\":\"r\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
constexpr char kFinish[] =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
constexpr char kUsage[] =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":3}}\n\n";
constexpr char kDone[] = "data: [DONE]\n\n";

void begin(const Reply& reply) {
    reply->start(200, {{"content-type", "text/event-stream"}});
}

void stream_three(const Reply& reply) {
    begin(reply);
    for (int i = 0; i < 3; ++i) reply->write(kChunk);
    reply->write(kFinish);
    reply->write(kUsage);
    reply->write(kDone);
    reply->finish();
}

class LoadDriverTest : public ::testing::Test {
  protected:
    // Serves `script` and sends `requests` to it.
    std::vector<RequestRecord> drive(std::function<void(const Reply&)> script,
                                     std::vector<LoadRequest> requests,
                                     LoadOptions options = {}) {
        net::HttpServerOptions server_options;
        server_options.address.unix_path = folder_.file("s");
        server_options.drain_timeout = std::chrono::milliseconds(0);
        server_ = net::HttpServer::start(
                      server_options,
                      [this, script](const net::HttpRequest&, const Reply& reply) {
                          ++num_requests_;
                          script(reply);
                      },
                      log_)
                      .value();
        net::HttpClientOptions client_options;
        client_options.address = server_->address();
        const auto dialer = net::ClientDialer::make(client_options).value();
        LoadDriver driver(dialer, options, clock_, [this](const LoadProgress& progress) {
            peak_running_ = std::max(peak_running_, progress.num_running);
        });
        auto records = driver.run(requests);
        server_->stop();
        return records;
    }

    static std::vector<LoadRequest> requests(std::size_t count) {
        const std::string bytes =
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
            "content-length: 2\r\n\r\n{}";
        return std::vector<LoadRequest>(count, LoadRequest{bytes, 0.0, {}, 9});
    }

    static std::vector<LoadRequest> leaving(std::size_t count, Leave leave) {
        auto all = requests(count);
        for (LoadRequest& request : all) request.leave = leave;
        return all;
    }

    RequestRecord drive_one(std::function<void(const Reply&)> script, LoadOptions options = {}) {
        return drive(std::move(script), requests(1), options).at(0);
    }

    test::TempDir folder_;
    const SystemClock clock_;
    Log log_{clock_, "test", LogLevel::kError};
    std::unique_ptr<net::HttpServer> server_;
    std::atomic<int> num_requests_{0};
    std::size_t peak_running_ = 0;
};

TEST_F(LoadDriverTest, RecordsAStream) {
    const RequestRecord record = drive_one(&stream_three);
    EXPECT_EQ(record.outcome, Outcome::kCompleted);
    EXPECT_EQ(record.request_id, "r");
    EXPECT_EQ(record.num_text_events, 3);
    EXPECT_EQ(record.gaps_s.size(), 2U);
    EXPECT_EQ(record.usage.value(), (TokenUsage{4, 0, 3, 0}));
    EXPECT_EQ(record.finish_reason, "stop");
    EXPECT_LE(record.start_s, *record.first_token_s);
    EXPECT_LE(*record.first_token_s, record.end_s);
}

TEST_F(LoadDriverTest, KeepsTheOrderAndTheBound) {
    LoadOptions options;
    options.max_concurrency = 4;
    const auto records = drive(&stream_three, requests(100), options);
    ASSERT_EQ(records.size(), 100U);
    EXPECT_EQ(num_requests_, 100);
    for (std::size_t i = 0; i < records.size(); ++i) {
        EXPECT_EQ(records[i].index, static_cast<std::int64_t>(i));
        EXPECT_EQ(records[i].outcome, Outcome::kCompleted) << records[i].message;
        EXPECT_EQ(records[i].num_intended_input_tokens, 9);
    }
    EXPECT_LE(peak_running_, 4U);
}

TEST_F(LoadDriverTest, AThousandAtOnce) {
    ASSERT_GT(raise_file_limit(), 2100U);  // both ends of each connection are in this process
    // No reply begins before the last request is there: all of them run at one time.
    std::mutex mutex;
    std::vector<Reply> waiting;
    const auto records = drive(
        [&](const Reply& reply) {
            const std::lock_guard lock(mutex);
            waiting.push_back(reply);
            if (waiting.size() < 1000) return;
            for (const Reply& held : waiting) stream_three(held);
            waiting.clear();
        },
        requests(1000));
    for (const RequestRecord& record : records)
        ASSERT_EQ(record.outcome, Outcome::kCompleted) << record.message;
}

TEST_F(LoadDriverTest, ArrivalsAreNotEarly) {
    auto all = requests(3);
    all[1].arrival_s = 0.01;
    all[2].arrival_s = 0.03;
    const auto records = drive(&stream_three, all);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_GE(records[i].start_s, all[i].arrival_s);
}

TEST_F(LoadDriverTest, AWholeAnswerHasNoFirstToken) {
    const RequestRecord record = drive_one([](const Reply& reply) {
        reply->respond({200,
                        {{"content-type", "application/json"}},
                        R"({"id":"r","choices":[{"message":{"content":"hi"}}],
                            "usage":{"completion_tokens":7}})"});
    });
    EXPECT_EQ(record.outcome, Outcome::kCompleted);
    EXPECT_FALSE(record.first_token_s);
    EXPECT_EQ(record.num_output_tokens(), 7);
}

TEST_F(LoadDriverTest, AStatusThatRefuses) {
    const RequestRecord refused = drive_one([](const Reply& reply) {
        reply->respond({429, {}, R"({"error":{"message":"slower"}})"});
    });
    EXPECT_EQ(refused.failure, FailureKind::kStatus);
    EXPECT_EQ(refused.status, 429);
    EXPECT_EQ(refused.message, "slower");
}

TEST_F(LoadDriverTest, AnErrorInsideAStream) {
    const RequestRecord record = drive_one([](const Reply& reply) {
        begin(reply);
        reply->write(kChunk);
        reply->write("data: {\"error\":{\"message\":\"died\"}}\n\n");
        reply->finish();
    });
    EXPECT_EQ(record.failure, FailureKind::kInStream);
    EXPECT_EQ(record.message, "died");
    EXPECT_EQ(record.num_text_events, 1);
}

TEST_F(LoadDriverTest, AStreamThatDoesNotSayThatItIsDone) {
    const RequestRecord record = drive_one([](const Reply& reply) {
        begin(reply);
        reply->write(kChunk);
        reply->finish();
    });
    EXPECT_EQ(record.failure, FailureKind::kCutOff);
}

TEST_F(LoadDriverTest, AnEventThatIsNoJson) {
    const RequestRecord record = drive_one([](const Reply& reply) {
        begin(reply);
        reply->write("data: {nonsense\n\n");
        reply->finish();
    });
    EXPECT_EQ(record.failure, FailureKind::kMalformed);
}

TEST_F(LoadDriverTest, Silence) {
    std::vector<Reply> held;
    LoadOptions options;
    options.silence_limit = std::chrono::milliseconds(1);
    const RequestRecord record =
        drive_one([&](const Reply& reply) { held.push_back(reply); }, options);
    EXPECT_EQ(record.failure, FailureKind::kTimeout);
    held.clear();
}

TEST_F(LoadDriverTest, LeavesInMidStream) {
    std::atomic<int> num_gone{0};
    std::vector<Reply> held;
    const auto records = drive(
        [&](const Reply& reply) {
            reply->on_client_gone([&] { ++num_gone; });
            begin(reply);
            for (int i = 0; i < 2; ++i) reply->write(kChunk);
            held.push_back(reply);  // and no end
        },
        leaving(20, {2, {}, {}}));
    for (const RequestRecord& record : records) {
        EXPECT_EQ(record.outcome, Outcome::kDisconnected);
        EXPECT_EQ(record.num_text_events, 2);
        EXPECT_TRUE(record.has_bytes);
    }
    EXPECT_EQ(num_requests_, 20);
    held.clear();
}

TEST_F(LoadDriverTest, LeavesBeforeTheFirstByte) {
    std::vector<Reply> held;
    const auto by_time =
        drive([&](const Reply& reply) { held.push_back(reply); }, leaving(20, {0, 0.001, {}}));
    for (const RequestRecord& record : by_time) {
        EXPECT_EQ(record.outcome, Outcome::kDisconnected);
        EXPECT_FALSE(record.has_bytes);
    }
    held.clear();
}

TEST_F(LoadDriverTest, LeavesWithARequestHalfSent) {
    const auto records = drive(&stream_three, leaving(20, {0, {}, {}, 0.5}));
    for (const RequestRecord& record : records) {
        EXPECT_EQ(record.outcome, Outcome::kDisconnected);
        EXPECT_EQ(record.phase, Phase::kSending);
    }
    EXPECT_EQ(num_requests_, 0);
}

TEST_F(LoadDriverTest, LeavesAtTheFirstByteAtTheLatest) {
    const auto records = drive(&stream_three, leaving(20, {0, 1e6, {}}));
    for (const RequestRecord& record : records) {
        EXPECT_EQ(record.outcome, Outcome::kDisconnected);
        EXPECT_EQ(record.num_text_events, 0);
        EXPECT_FALSE(record.has_bytes);
    }
}

TEST_F(LoadDriverTest, AnAnswerThatEndsBeforeItWasToBeLeftIsWhole) {
    const auto records = drive(&stream_three, leaving(5, {4, {}, {}}));
    for (const RequestRecord& record : records) EXPECT_EQ(record.outcome, Outcome::kCompleted);
}

}  // namespace
}  // namespace turnpike::gateway::client::bench
