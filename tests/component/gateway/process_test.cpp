// The real binary: settings, drain, kill -9 in mid-stream, and what survives.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "gateway/edge/files.h"
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

// turnpike-gateway as a child process; its port is read off its log.
class GatewayProcess {
  public:
    explicit GatewayProcess(const std::string& config) {
        std::array<int, 2> ends{};
        CHECK(::pipe(ends.data()) == 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::dup2(ends[1], STDERR_FILENO);
            ::close(ends[0]);
            ::close(ends[1]);
            const std::string program = std::string(TURNPIKE_BIN_DIR) + "/turnpike-gateway";
            ::execl(program.c_str(), program.c_str(), "--config", config.c_str(), nullptr);
            ::_exit(127);
        }
        ::close(ends[1]);
        log_ = UniqueFd(ends[0]);
        read_port();
    }

    ~GatewayProcess() {
        if (pid_ > 0) stop(SIGKILL);
    }

    std::uint16_t port() const { return port_; }

    void signal(int number) const { ::kill(pid_, number); }

    // The exit status, or minus the signal that ended it.
    int wait() {
        int status = 0;
        ::waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }

    int stop(int number) {
        signal(number);
        return wait();
    }

  private:
    void read_port() {
        constexpr std::string_view kMarker = "address=tcp:127.0.0.1:";
        std::string text;
        std::array<char, 4096> bytes;
        while (text.find(" threads=") == std::string::npos) {
            const ssize_t taken = ::read(log_.get(), bytes.data(), bytes.size());
            CHECK(taken > 0);
            text.append(bytes.data(), static_cast<std::size_t>(taken));
        }
        port_ = static_cast<std::uint16_t>(
            std::atoi(text.c_str() + text.find(kMarker) + kMarker.size()));
    }

    pid_t pid_ = -1;
    UniqueFd log_;
    std::uint16_t port_ = 0;
};

// The wall clock of a gateway that slept.
class ShiftedClock final : public Clock {
  public:
    WallTime wall_now() const override { return clock_.wall_now() + offset; }

    SteadyTime steady_now() const override { return clock_.steady_now(); }

    std::chrono::hours offset{0};

  private:
    SystemClock clock_;
};

class ProcessTest : public GatewayTest {
  protected:
    void SetUp() override {
        config_ = world_.dir().file("gateway.json");
        world_.write_settings_file(config_);
    }

    // The gateway ends before this class's clock.
    void TearDown() override { gateway_.reset(); }

    void publish_one(const FakeEngine& engine) {
        controlplane_->publish(world_.snapshot({{ReplicaId("r0"), engine.address(), Epoch(7)}}));
    }

    void wait_for_route(std::uint16_t port) {
        const SteadyTime deadline = clock_.steady_now() + std::chrono::seconds(20);
        for (;;) {
            test::TlsClient client(port);
            client.send(get_text("/readyz"));
            if (client.read_response().status == 200) return;
            ASSERT_LT(clock_.steady_now(), deadline);
        }
    }

    std::string config_;
    ShiftedClock later_;
};

TEST_F(ProcessTest, KillInMidStreamIsWrittenOffWithTheEnginesCount) {
    constexpr int kNumKills = 5;
    std::atomic<int> round = 0;
    FakeEngine engine(engine_path(0), [&](const EngineRequest& request, EngineConnection& to) {
        const TokenUsage final_usage{9, 0, 10 + round, 0};
        engine.set_meter(request.header("x-request-id"), final_usage, false);
        to.begin();
        to.meter({9, 0, 0, 0});
        for (int i = 0; i <= round; ++i) to.event("{\"n\":" + std::to_string(i) + "}");
        EXPECT_TRUE(to.wait_for_fin());
        engine.set_meter(request.header("x-request-id"), final_usage, true);
        to.close();
    });
    publish_one(engine);
    for (int i = 0; i < kNumKills; ++i) {
        round = i;
        GatewayProcess gateway(config_);
        wait_for_route(gateway.port());
        test::TlsClient client(gateway.port());
        client.send(post_text(kStreamBody));
        client.read_until("{\"n\":" + std::to_string(i) + "}\n\n");
        EXPECT_EQ(gateway.stop(SIGKILL), -SIGKILL);
    }
    GatewayProcess gateway(config_);
    const auto records = controlplane_->wait_for_records(kNumKills);
    ASSERT_EQ(records.size(), std::size_t{kNumKills});
    TokenCount total = 0;
    for (const UsageRecord& record : records) {
        EXPECT_EQ(record.outcome, Outcome::kGatewayFailed);
        EXPECT_EQ(record.usage.prompt_tokens, 9);
        EXPECT_EQ(record.model, "tiny");
        EXPECT_EQ(record.org.value(), "org_a");
        total += record.usage.completion_tokens;
    }
    EXPECT_EQ(total, 10 + 11 + 12 + 13 + 14);
    EXPECT_EQ(gateway.stop(SIGTERM), 0);
    // A kill between an acknowledgement and the cursor delivers again, but nothing else than
    // before.
    EXPECT_EQ(controlplane_->num_conflicts(), 0U);
}

TEST_F(ProcessTest, UndeliveredRecordsSurviveAKill) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish_one(engine);
    controlplane_->set_usage_status(503);
    std::vector<std::string> ids;
    {
        GatewayProcess gateway(config_);
        wait_for_route(gateway.port());
        for (int i = 0; i < 3; ++i) {
            test::TlsClient client(gateway.port());
            client.send(post_text(kStreamBody));
            ids.push_back(client.read_response().header("x-request-id"));
        }
        EXPECT_EQ(gateway.stop(SIGKILL), -SIGKILL);
    }
    controlplane_->set_usage_status(200);
    GatewayProcess gateway(config_);
    std::vector<std::string> delivered;
    for (const UsageRecord& record : controlplane_->wait_for_records(3)) {
        EXPECT_EQ(record.outcome, Outcome::kCompleted);
        delivered.push_back(record.request_id.value());
    }
    EXPECT_EQ(delivered, ids);
}

TEST_F(ProcessTest, TermDrainsAndExitsCleanly) {
    Latch may_finish;
    FakeEngine engine(engine_path(0), [&](const EngineRequest&, EngineConnection& to) {
        to.begin();
        to.meter({9, 0, 1, 0});
        to.event("{}");
        EXPECT_TRUE(may_finish.wait());
        to.done();
        to.end();
    });
    publish_one(engine);
    GatewayProcess gateway(config_);
    wait_for_route(gateway.port());
    test::TlsClient idle(gateway.port());
    idle.send(get_text("/healthz"));
    EXPECT_EQ(idle.read_response().status, 200);
    test::TlsClient busy(gateway.port());
    busy.send(post_text(kStreamBody));
    busy.read_until("data: {}\n\n");
    gateway.signal(SIGTERM);
    EXPECT_EQ(idle.read_to_end(), "");
    may_finish.set();
    EXPECT_THAT(busy.read_to_end(), HasSubstr("[DONE]"));
    EXPECT_EQ(gateway.wait(), 0);
    EXPECT_EQ(controlplane_->wait_for_records(1).size(), 1U);
}

TEST_F(ProcessTest, DrainThatTakesTooLongIsCutOffAndItemisedLater) {
    Settings settings = world_.settings();
    settings.drain_time = std::chrono::seconds(0);
    std::ofstream(config_) << write_settings(settings);
    FakeEngine engine(engine_path(0), [&](const EngineRequest& request, EngineConnection& to) {
        to.begin();
        to.meter({9, 0, 1, 0});
        to.event("{}");
        EXPECT_TRUE(to.wait_for_fin());
        engine.set_meter(request.header("x-request-id"), {9, 0, 2, 0}, true);
        to.close();
    });
    publish_one(engine);
    {
        GatewayProcess gateway(config_);
        wait_for_route(gateway.port());
        test::TlsClient client(gateway.port());
        client.send(post_text(kStreamBody));
        client.read_until("data: {}\n\n");
        EXPECT_EQ(gateway.stop(SIGTERM), 0);
    }
    GatewayProcess gateway(config_);
    const auto records = controlplane_->wait_for_records(1);
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records.front().outcome, Outcome::kGatewayFailed);
    EXPECT_EQ(records.front().usage, (TokenUsage{9, 0, 2, 0}));
}

TEST_F(ProcessTest, ServesFromDiskWhileTheControlPlaneIsAway) {
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    gateway_.reset();
    controlplane_->stop();
    start_gateway();
    EXPECT_EQ(get("/readyz").status, 200);
    EXPECT_EQ(post(kUnaryBody).status, 200);
    gateway_.reset();

    later_.offset = std::chrono::hours(25);
    auto stale = Gateway::start(options_, later_, log_);
    ASSERT_TRUE(stale.has_value()) << stale.error().message;
    gateway_ = std::move(*stale);
    EXPECT_EQ(post(kUnaryBody).status, 503);
    EXPECT_EQ(get("/readyz").status, 503);
    controlplane_->start();
    wait_for_ready(200);
    EXPECT_EQ(post(kUnaryBody).status, 200);
    EXPECT_EQ(controlplane_->wait_for_records(2).size(), 2U);
}

TEST_F(ProcessTest, BrokenSnapshotFileIsReplaced) {
    std::ofstream(world_.settings().snapshot_file) << "{\"store\":";
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    EXPECT_EQ(post(kUnaryBody).status, 200);
    gateway_.reset();  // a snapshot is served before it is saved
    const auto saved = read_file(world_.settings().snapshot_file);
    ASSERT_TRUE(saved.has_value());
    EXPECT_TRUE(controlplane::parse_snapshot(*saved).has_value());
}

TEST_F(ProcessTest, OutboxOfAnotherGatewayIsRefused) {
    start_gateway();
    const auto second = Gateway::start(options_, clock_, log_);
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, ErrorCode::kConflict);
}

TEST_F(ProcessTest, ManyClientsOnTwoThreadsAreRecordedOnceEach) {
    constexpr int kNumClients = 8;
    constexpr int kNumRequests = 25;
    options_.settings.num_threads = 2;
    FakeEngine engine(engine_path(0), test::answer_briefly);
    publish({&engine});
    std::vector<std::thread> clients;
    std::atomic<int> num_good = 0;
    for (int i = 0; i < kNumClients; ++i) {
        clients.emplace_back([&] {
            test::TlsClient client = connect();
            for (int j = 0; j < kNumRequests; ++j) {
                client.send(post_text(j % 2 == 0 ? kUnaryBody : kStreamBody));
                const test::RawResponse response = client.read_response();
                if (response.status == 200 && response.is_whole) ++num_good;
            }
        });
    }
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(num_good, kNumClients * kNumRequests);
    const auto records = controlplane_->wait_for_records(kNumClients * kNumRequests);
    EXPECT_EQ(records.size(), std::size_t{kNumClients * kNumRequests});
    EXPECT_TRUE(gateway_->drain());
    EXPECT_EQ(controlplane_->num_deliveries(), records.size());
}

}  // namespace
}  // namespace turnpike::gateway
