// What every driver promises, against each: processes of this host, units of systemd, jobs of
// Slurm.
#include <gtest/gtest.h>
#include <poll.h>

#include <fstream>
#include <functional>
#include <optional>

#include "controlplane/run/replica_dir.h"
#include "controlplane/run/spawn.h"
#include "tests/component/drivers/harness.h"

namespace turnpike::controlplane::test {
namespace {

using namespace std::chrono_literals;

struct Kind {
    const char* name;
    std::unique_ptr<DriverHarness> (*make)();
};

class DriverContract : public ::testing::TestWithParam<Kind> {
  protected:
    void SetUp() override {
        harness_ = GetParam().make();
        open();
    }

    void TearDown() override {
        if (driver_ == nullptr) return;
        ASSERT_TRUE(driver_->stop(kId, StopHow::kKill));
        wait("it has ended", [this] { return !find() || !find()->is_running; });
    }

    void open() {
        driver_.reset();
        auto opened = harness_->open();
        ASSERT_TRUE(opened) << opened.error().message;
        driver_ = std::move(*opened);
    }

    std::optional<ObservedProcess> find() {
        const auto processes = driver_->list();
        EXPECT_TRUE(processes) << processes.error().message;
        for (const ObservedProcess& process : *processes) {
            if (process.id == kId) return process;
        }
        return std::nullopt;
    }

    void wait(const char* what, const std::function<bool()>& condition) {
        const auto deadline = std::chrono::steady_clock::now() + 30s;
        while (!condition()) {
            ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "not in time: " << what;
            ::poll(nullptr, 0, 20);
        }
    }

    std::string log() { return ReplicaDir(harness_->run_dir(), kId).last_log(); }

    void start(std::int64_t epoch) {
        const Status started = driver_->start(spec(epoch));
        ASSERT_TRUE(started) << started.error().message;
        wait("it runs", [&] {
            const auto found = find();
            return found && found->is_running && found->phase == Phase::kRunning;
        });
        wait("it listens", [&] { return !ReplicaDir(harness_->run_dir(), kId).address().empty(); });
    }

    void wait_until_ended() {
        wait("it has ended", [this] { return find() && !find()->is_running; });
    }

    static ReplicaSpec spec(std::int64_t epoch) {
        return {kId, Epoch(epoch), "/cards/a.json", "/models/a", 0, "1x"};
    }

    static inline const ReplicaId kId{"0a1b2c3d4e5f-1-0"};
    std::unique_ptr<DriverHarness> harness_;
    std::unique_ptr<Driver> driver_;
};

TEST_P(DriverContract, StartsOnceAndKnowsTheEpoch) {
    EXPECT_FALSE(find());
    start(3);
    EXPECT_EQ(find()->epoch, Epoch(3));
    EXPECT_TRUE(driver_->start(spec(3))) << "a repeated start is none";
    const Status other = driver_->start(spec(4));
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, ErrorCode::kConflict);
    EXPECT_EQ(find()->epoch, Epoch(3));
}

TEST_P(DriverContract, DrainsAndStartsAgainWithAnotherEpoch) {
    start(1);
    ASSERT_TRUE(driver_->stop(kId, StopHow::kDrain));
    wait_until_ended();
    EXPECT_EQ(find()->exit_reason, harness_->clean_exit());
    EXPECT_TRUE(driver_->stop(kId, StopHow::kDrain)) << "it has ended already";
    start(2);
    EXPECT_EQ(find()->epoch, Epoch(2));
    EXPECT_TRUE(find()->is_running);
}

TEST_P(DriverContract, TellsWhyOneEnded) {
    start(1);
    ASSERT_TRUE(driver_->stop(kId, StopHow::kKill));
    wait_until_ended();
    EXPECT_EQ(find()->exit_reason, harness_->killed());
    std::ofstream(ReplicaDir(harness_->run_dir(), kId).path() + "/fail") << "";
    const Status started = driver_->start(spec(2));
    ASSERT_TRUE(started) << started.error().message;
    wait("it failed", [this] { return find() && find()->exit_reason == "exit status 7"; });
    EXPECT_NE(find()->last_log.find("started on"), std::string::npos) << find()->last_log;
}

TEST_P(DriverContract, ADriverThatIsOpenedAnewFindsWhatRuns) {
    start(5);
    open();
    ASSERT_TRUE(find());
    EXPECT_TRUE(find()->is_running);
    EXPECT_EQ(find()->epoch, Epoch(5));
    EXPECT_EQ(driver_->start(spec(6)).error().code, ErrorCode::kConflict);
    EXPECT_TRUE(driver_->start(spec(5)));
    ASSERT_TRUE(driver_->stop(kId, StopHow::kKill));
    wait_until_ended();
    EXPECT_EQ(find()->exit_reason, harness_->stranger_killed());
}

TEST_P(DriverContract, StoppingNobodyIsNoError) {
    EXPECT_TRUE(driver_->stop(ReplicaId("ffffffffffff-1-0"), StopHow::kDrain));
    EXPECT_TRUE(driver_->stop(ReplicaId("ffffffffffff-1-0"), StopHow::kKill));
}

INSTANTIATE_TEST_SUITE_P(Drivers,
                         DriverContract,
                         ::testing::Values(Kind{"process", make_process_harness},
                                           Kind{"systemd", make_systemd_harness},
                                           Kind{"slurm", make_slurm_harness}),
                         [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace turnpike::controlplane::test
