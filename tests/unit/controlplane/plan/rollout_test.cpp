// Rolling updates: one over the wanted number, then one drained for each that is READY.
#include <gtest/gtest.h>

#include <map>

#include "controlplane/plan/reconcile.h"

namespace turnpike::controlplane {
namespace {

using namespace std::chrono_literals;

const EndpointId kEndpoint("endpoint-0a1b2c3d-4e5f-4000-8000-000000000000");

// One endpoint whose replicas do at once what they are told.
class RolloutTest : public ::testing::Test {
  protected:
    void begin(int num_replicas, int num_slots) {
        Endpoint endpoint;
        endpoint.id = kEndpoint;
        endpoint.hardware = "1x_cpu";
        endpoint.autoscaling = {num_replicas, num_replicas};
        desired_ = {{endpoint}, {{"1x_cpu", num_slots}}, false};
        settle();
        ++desired_.endpoints[0].rollout;
    }

    // One pass; returns how many READY replicas there are of each rollout afterwards.
    std::map<std::int64_t, int> pass() {
        now_ += 2s;
        Observed observed;
        for (const auto& [id, row] : rows_) observed.replicas.push_back(row);
        for (const auto& [id, process] : processes_) observed.processes.push_back(process);
        plan_ = reconcile(desired_, observed, now_);
        for (const Action& action : plan_.actions)
            std::visit([this](const auto& one) { perform(one); }, action);
        std::map<std::int64_t, int> ready;
        for (const auto& [id, row] : rows_)
            ready[row.generation] += row.state == ReplicaState::kReady ? 1 : 0;
        return ready;
    }

    void settle() {
        for (int i = 0; i < 50; ++i) pass();
    }

    int num_running() const {
        int num = 0;
        for (const auto& [id, process] : processes_) num += process.is_running ? 1 : 0;
        return num;
    }

    void perform(const StartReplica& action) {
        Replica& row = rows_[action.id];
        row.id = action.id;
        row.endpoint = action.endpoint;
        row.index = action.index;
        row.generation = action.generation;
        row.epoch = Epoch(row.epoch.value() + 1);
        row.state = ReplicaState::kPending;
        row.state_since = now_;
        ObservedProcess process;
        process.id = action.id;
        process.epoch = row.epoch;
        process.is_running = true;
        process.answer = is_new_broken_ && action.generation > 1 ? Answer::kFailed : Answer::kReady;
        processes_[action.id] = process;
    }

    void perform(const DrainReplica& action) { processes_[action.id].is_running = false; }

    void perform(const KillReplica& action) { processes_[action.id].is_running = false; }

    void perform(const MarkReplica& action) {
        Replica& row = rows_.at(action.id);
        if (row.state != action.state) row.state_since = now_;
        row.state = action.state;
        row.num_failures = action.num_failures.value_or(row.num_failures);
    }

    void perform(const ForgetReplica& action) {
        rows_.erase(action.id);
        processes_.erase(action.id);
    }

    void perform(const MarkEndpoint& action) {
        desired_.endpoints[0].state = action.state;
        desired_.endpoints[0].reason = action.reason;
    }

    Desired desired_;
    Plan plan_;
    WallTime now_ = from_unix_us(1'800'000'000'000'000);
    std::map<ReplicaId, Replica> rows_;
    std::map<ReplicaId, ObservedProcess> processes_;
    bool is_new_broken_ = false;
};

TEST_F(RolloutTest, ReplacesOneAfterTheOtherAndNeverServesWithFewer) {
    begin(3, 8);
    for (int i = 0; i < 50; ++i) {
        auto ready = pass();
        EXPECT_GE(ready[1] + ready[2], 3);
        EXPECT_LE(num_running(), 4);
    }
    EXPECT_EQ(pass()[2], 3);
    EXPECT_EQ(rows_.size(), 3U) << "rows of the first rollout are left";
    EXPECT_TRUE(plan_.actions.empty());
    EXPECT_EQ(desired_.endpoints[0].state, EndpointState::kStarted);
}

TEST_F(RolloutTest, TheLastFreeSlotIsEnough) {
    begin(2, 3);
    for (int i = 0; i < 50; ++i) {
        auto ready = pass();
        EXPECT_GE(ready[1] + ready[2], 2);
        EXPECT_LE(num_running(), 3);
    }
    EXPECT_EQ(pass()[2], 2);
}

TEST_F(RolloutTest, WithoutAFreeSlotOneMakesRoomFirst) {
    begin(2, 2);
    for (int i = 0; i < 50; ++i) {
        auto ready = pass();
        EXPECT_GE(ready[1] + ready[2], 1);
        EXPECT_LE(num_running(), 2);
    }
    EXPECT_EQ(pass()[2], 2);
    EXPECT_EQ(rows_.size(), 2U);
}

TEST_F(RolloutTest, TheOnlyReplicaWaitsForASlot) {
    begin(1, 1);
    settle();
    EXPECT_EQ(pass()[1], 1);
    EXPECT_EQ(desired_.endpoints[0].state, EndpointState::kStarted);
    EXPECT_EQ(desired_.endpoints[0].reason, "its update waits for a free slot on 1x_cpu");
    desired_.hardware[0].num_slots = 2;
    settle();
    EXPECT_EQ(pass()[2], 1);
    EXPECT_EQ(desired_.endpoints[0].reason, "");
}

TEST_F(RolloutTest, WhatDoesNotStartReplacesNothing) {
    is_new_broken_ = true;
    begin(2, 3);
    settle();
    EXPECT_EQ(pass()[1], 2);
    EXPECT_EQ(desired_.endpoints[0].state, EndpointState::kStarted);
    // The next rollout is right again.
    is_new_broken_ = false;
    ++desired_.endpoints[0].rollout;
    settle();
    EXPECT_EQ(pass()[3], 2);
    EXPECT_EQ(rows_.size(), 2U);
}

TEST_F(RolloutTest, WhatNeverServedIsReplacedAtOnce) {
    begin(2, 8);
    for (auto& [id, row] : rows_) row.state = ReplicaState::kLoading;
    for (auto& [id, process] : processes_) process.answer = Answer::kLoading;
    pass();
    EXPECT_EQ(num_running(), 1) << "the old ones are told to end, and the surge starts";
}

TEST_F(RolloutTest, APlaceInTheQueueIsShown) {
    begin(1, 1);
    settle();
    desired_.endpoints[0].rollout = 1;
    Replica& row = rows_.begin()->second;
    ObservedProcess& process = processes_.begin()->second;
    row.state = ReplicaState::kPending;
    process.answer = Answer::kNone;
    process.phase = Phase::kQueued;
    process.wait_reason = "Resources";
    pass();
    EXPECT_EQ(row.state, ReplicaState::kPending);
    settle();
    EXPECT_FALSE(plan_.is_settling) << "a queue may take hours";
    EXPECT_EQ(desired_.endpoints[0].state, EndpointState::kPending);
    EXPECT_EQ(desired_.endpoints[0].reason, "waits for Resources");
    process.phase = Phase::kPlaced;
    pass();
    EXPECT_EQ(row.state, ReplicaState::kPlaced);
    process.phase = Phase::kRunning;
    pass();
    EXPECT_EQ(row.state, ReplicaState::kStarting);
    now_ += 1h;
    pass();
    EXPECT_FALSE(process.is_running) << "silent for too long";
}

}  // namespace
}  // namespace turnpike::controlplane
