// What a cluster adds to the contract: a queue, gangs, nodes that die, and a controller that
// forgets.
#include <gtest/gtest.h>
#include <poll.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <map>

#include "controlplane/run/process_identity.h"
#include "controlplane/run/replica_dir.h"
#include "tests/component/drivers/harness.h"

namespace turnpike::controlplane::test {
namespace {

using namespace std::chrono_literals;

class SlurmDriverTest : public ::testing::Test {
  protected:
    void SetUp() override { driver_ = harness_->open().value(); }

    void TearDown() override {
        for (const auto& [id, process] : all()) EXPECT_TRUE(driver_->stop(id, StopHow::kKill));
        wait("all have ended", [this] {
            for (const auto& [id, process] : all()) {
                if (process.is_running) return false;
            }
            return true;
        });
    }

    // Empty while the controller does not answer.
    std::map<ReplicaId, ObservedProcess> all() {
        std::map<ReplicaId, ObservedProcess> found;
        const auto processes = driver_->list();
        if (!processes) return found;
        for (const ObservedProcess& process : *processes) found[process.id] = process;
        return found;
    }

    void wait(const char* what, const std::function<bool()>& condition) {
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        while (!condition()) {
            ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "not in time: " << what;
            ::poll(nullptr, 0, 20);
        }
    }

    Status start(const std::string& name, const std::string& hardware, std::int64_t epoch = 1) {
        return driver_->start({ReplicaId(name), Epoch(epoch), "/card", "/model", 0, hardware});
    }

    void wait_until_running(const std::string& name) {
        wait("it runs", [&] {
            const auto found = all()[ReplicaId(name)];
            return found.is_running && !found.address.empty();
        });
    }

    std::string log_of(const std::string& name) {
        std::ifstream file(ReplicaDir(harness_->run_dir(), ReplicaId(name)).log_file());
        return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    }

    std::size_t num_engines() { return find_process_arguments(harness_->run_dir() + "/r/").size(); }

    std::unique_ptr<DriverHarness> harness_ = make_slurm_harness();
    std::unique_ptr<Driver> driver_;
};

TEST_F(SlurmDriverTest, TellsTheAddressOfTheNode) {
    ASSERT_TRUE(start("a-1-0", "1x"));
    wait_until_running("a-1-0");
    EXPECT_EQ(all()[ReplicaId("a-1-0")].address, "tls:127.0.0.1:4242");
    EXPECT_EQ(driver_->address_of(ReplicaId("a-1-0")).value(), "");
}

TEST_F(SlurmDriverTest, WhatFindsNoPlaceWaitsAndSaysForWhat) {
    ASSERT_TRUE(start("a-1-0", "8x"));
    ASSERT_TRUE(start("b-1-0", "8x"));
    wait_until_running("a-1-0");
    wait_until_running("b-1-0");
    ASSERT_TRUE(start("c-1-0", "8x"));
    wait("the third waits for GPUs", [this] {
        const ObservedProcess third = all()[ReplicaId("c-1-0")];
        return third.is_running && third.phase == Phase::kQueued &&
               third.wait_reason == "Resources";
    });
    ASSERT_TRUE(driver_->stop(ReplicaId("c-1-0"), StopHow::kDrain));
    wait("it left the queue", [this] { return !all()[ReplicaId("c-1-0")].is_running; });
    EXPECT_EQ(all()[ReplicaId("c-1-0")].exit_reason, "cancelled");
}

TEST_F(SlurmDriverTest, AGangHasAnEngineOnEachNode) {
    ASSERT_TRUE(start("a-1-0", "16x"));
    wait("both run", [this] {
        const std::string log = log_of("a-1-0");
        return log.find("started on 0") != std::string::npos &&
               log.find("started on 1") != std::string::npos;
    });
    EXPECT_NE(log_of("a-1-0").find("of n[1-2]"), std::string::npos) << log_of("a-1-0");
}

TEST_F(SlurmDriverTest, UnknownHardwareIsRefused) {
    const Status started = start("a-1-0", "toaster");
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().message.find("'toaster' has no slurm section"), std::string::npos);
}

// An acknowledged job may be lost with the controller that is killed right after. Whatever it knows
// afterwards, a replica never runs twice.
TEST_F(SlurmDriverTest, AControllerThatIsKilledDoublesNothing) {
    SlurmCluster& cluster = SlurmCluster::get();
    ASSERT_TRUE(start("a-1-0", "1x"));
    wait_until_running("a-1-0");
    ASSERT_TRUE(start("b-1-0", "1x"));
    cluster.command("kill slurmctld");
    EXPECT_GE(num_engines(), 1U) << "the first serves on without a controller";
    EXPECT_FALSE(driver_->list()) << "nobody knows what runs";
    EXPECT_FALSE(start("b-1-0", "1x", 2));
    cluster.command("start slurmctld");
    const auto found = all();
    const auto listed = found.find(ReplicaId("b-1-0"));
    const bool is_lost = listed == found.end() || !listed->second.is_running;
    ASSERT_EQ(start("b-1-0", "1x", 2).has_value(), is_lost) << "a second was started";
    wait_until_running("b-1-0");
    EXPECT_EQ(all()[ReplicaId("b-1-0")].epoch, Epoch(is_lost ? 2 : 1));
    wait("each runs once", [this] { return num_engines() == 2; });
}

TEST_F(SlurmDriverTest, ANodeThatDiesTakesItsReplicas) {
    SlurmCluster& cluster = SlurmCluster::get();
    ASSERT_TRUE(start("a-1-0", "8x"));
    wait_until_running("a-1-0");
    const bool is_first = log_of("a-1-0").find("of n1") != std::string::npos;
    const std::string node = is_first ? "n1" : "n2";
    cluster.command("kill " + node);
    wait("it died with its node", [this] { return num_engines() == 0; });
    wait("Slurm knows", [this] {
        const auto found = all();
        return found.contains(ReplicaId("a-1-0")) && !found.at(ReplicaId("a-1-0")).is_running;
    });
    EXPECT_EQ(all()[ReplicaId("a-1-0")].exit_reason, "node failed");
    cluster.command("start " + node);
    ASSERT_TRUE(start("a-1-0", "8x", 2)) << "it is replaced by a new job";
    wait_until_running("a-1-0");
    EXPECT_EQ(all()[ReplicaId("a-1-0")].epoch, Epoch(2));
}

}  // namespace
}  // namespace turnpike::controlplane::test
