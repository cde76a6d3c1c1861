// Random wishes, crashes of replicas and of the control plane between any two actions. Whatever
// happens, no endpoint runs more than its maximum, no name runs twice, epochs only grow, states
// change only by edges, and when the chaos ends the world becomes what is wanted and stays so.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>

#include "controlplane/plan/reconcile.h"

namespace turnpike::controlplane {
namespace {

using namespace std::chrono_literals;

// A host with its store: applies actions the way the real ones do.
class World {
  public:
    explicit World(unsigned seed) : random_(seed) {
        desired.hardware = {{"small", 3}, {"big", 8}};
        const int num_endpoints = 1 + pick(3);
        for (int i = 0; i < num_endpoints; ++i) add_endpoint(i);
    }

    int pick(int end) { return std::uniform_int_distribution<int>(0, end - 1)(random_); }

    // One pass; the control plane may die before any of its actions.
    Plan pass(bool may_crash) {
        now += 200ms;
        const Plan plan = reconcile(desired, observed(), now);
        for (const Action& action : plan.actions) {
            if (may_crash && pick(8) == 0) break;
            std::visit([&](const auto& one) { perform(one, may_crash); }, action);
            check();
        }
        return plan;
    }

    void disturb() {
        now += 1s * pick(4);
        Endpoint& endpoint = desired.endpoints[static_cast<std::size_t>(
            pick(static_cast<int>(desired.endpoints.size())))];
        const int max = 1 + pick(4);
        switch (pick(8)) {
            case 0:
                endpoint.desired = DesiredState::kStopped;
                break;
            case 1:
                endpoint.desired = DesiredState::kStarted;
                break;
            case 2:
                // The maximum bounds starts; what ran before a smaller one is drained.
                endpoint.autoscaling = {1 + pick(max), max};
                break;
            default:
                disturb_process();
        }
    }

    void calm() {
        for (auto& [id, process] : processes_) {
            if (process.is_running && process.answer != Answer::kFailed)
                process.answer = Answer::kReady;
        }
        is_calm_ = true;
    }

    // What the calm world must have come to.
    void check_reached() const {
        std::map<std::string, int> free{{"small", 3}, {"big", 8}};
        for (const Endpoint& endpoint : desired.endpoints) {
            const bool is_wanted = endpoint.desired == DesiredState::kStarted;
            const int num_running = count_running(endpoint.id);
            free[endpoint.hardware] -= num_running;
            if (!is_wanted) {
                EXPECT_EQ(num_running, 0);
                EXPECT_EQ(endpoint.state, EndpointState::kStopped);
                continue;
            }
            EXPECT_LE(num_running, endpoint.autoscaling.min_replicas);
            const bool is_short = num_running < endpoint.autoscaling.min_replicas;
            if (is_short) short_.push_back(endpoint.hardware);
            EXPECT_EQ(endpoint.state,
                      num_running > 0 ? EndpointState::kStarted : EndpointState::kPending);
        }
        for (const std::string& hardware : short_) EXPECT_EQ(free[hardware], 0) << hardware;
        for (const auto& [hardware, slots] : free) EXPECT_GE(slots, 0) << hardware;
    }

    Desired desired;
    WallTime now = from_unix_us(1'800'000'000'000'000);

  private:
    void add_endpoint(int index) {
        Endpoint endpoint;
        endpoint.id = EndpointId("endpoint-" + std::to_string(100000000000 + index));
        endpoint.hardware = pick(2) == 0 ? "small" : "big";
        const int max = 1 + pick(4);
        endpoint.autoscaling = {1 + pick(max), max};
        desired.endpoints.push_back(endpoint);
    }

    Observed observed() const {
        Observed seen;
        for (const auto& [id, row] : rows_) seen.replicas.push_back(row);
        for (const auto& [id, process] : processes_) seen.processes.push_back(process);
        return seen;
    }

    int count_running(const EndpointId& endpoint) const {
        int num = 0;
        for (const auto& [id, process] : processes_)
            num += process.is_running && rows_.at(id).endpoint == endpoint ? 1 : 0;
        return num;
    }

    void disturb_process() {
        if (processes_.empty()) return;
        auto chosen = processes_.begin();
        std::advance(chosen, pick(static_cast<int>(processes_.size())));
        ObservedProcess& process = chosen->second;
        switch (pick(5)) {
            case 0:
                process.is_running = false;
                process.exit_reason = "signal 9";
                break;
            case 1:
                process.answer = Answer::kNone;
                break;
            case 2:
                process.answer = Answer::kFailed;
                break;
            case 3:
                process.answer = Answer::kLoading;
                break;
            default:
                process.answer = Answer::kReady;
        }
    }

    void perform(const StartReplica& action, bool may_crash) {
        Replica& row = rows_[action.id];
        row.id = action.id;
        row.endpoint = action.endpoint;
        row.index = action.index;
        row.epoch = Epoch(row.epoch.value() + 1);
        row.state = ReplicaState::kStarting;
        row.state_since = now;
        // The row is durable before the process exists.
        if (may_crash && pick(8) == 0) return;
        ObservedProcess& process = processes_[action.id];
        EXPECT_FALSE(process.is_running) << "two live replicas named " << action.id.value();
        EXPECT_GT(row.epoch, process.epoch);
        process = {};
        process.id = action.id;
        process.epoch = row.epoch;
        process.is_running = is_calm_ || pick(4) != 0;
        process.answer = is_calm_ ? Answer::kReady : Answer::kLoading;
        check_maximum(action.endpoint);
    }

    void check_maximum(const EndpointId& id) const {
        for (const Endpoint& endpoint : desired.endpoints) {
            EXPECT_TRUE(endpoint.id != id ||
                        count_running(id) <= endpoint.autoscaling.max_replicas);
        }
    }

    void perform(const DrainReplica& action, bool may_crash) {
        set_state(action.id, action.epoch, ReplicaState::kDraining);
        if (may_crash && pick(8) == 0) return;
        processes_[action.id].is_running = false;
    }

    void perform(const KillReplica& action, bool) { processes_[action.id].is_running = false; }

    void perform(const MarkReplica& action, bool) {
        set_state(action.id, action.epoch, action.state);
        if (action.num_failures) rows_[action.id].num_failures = *action.num_failures;
    }

    void perform(const ForgetReplica& action, bool) { rows_.erase(action.id); }

    void perform(const MarkEndpoint& action, bool) {
        for (Endpoint& endpoint : desired.endpoints) {
            if (endpoint.id != action.id) continue;
            EXPECT_TRUE(endpoint.state == action.state || is_edge(endpoint.state, action.state));
            endpoint.state = action.state;
            endpoint.reason = action.reason;
        }
    }

    void set_state(const ReplicaId& id, Epoch epoch, ReplicaState state) {
        Replica& row = rows_.at(id);
        EXPECT_EQ(row.epoch, epoch);
        if (row.state != state) row.state_since = now;
        row.state = state;
    }

    void check() const {
        std::map<std::string, int> used;
        for (const Endpoint& endpoint : desired.endpoints)
            used[endpoint.hardware] += count_running(endpoint.id);
        for (const HardwareSlots& slots : desired.hardware)
            EXPECT_LE(used[slots.hardware], slots.num_slots);
    }

    std::mt19937 random_;
    std::map<ReplicaId, Replica> rows_;
    std::map<ReplicaId, ObservedProcess> processes_;
    bool is_calm_ = false;
    mutable std::vector<std::string> short_;
};

unsigned first_seed() {
    const char* given = std::getenv("TURNPIKE_TEST_SEED");
    return given == nullptr ? 1U : static_cast<unsigned>(std::strtoul(given, nullptr, 10));
}

TEST(ReconcileProperty, ReachesAFixedPointAfterRandomCrashes) {
    for (unsigned seed = first_seed(); seed < first_seed() + 300; ++seed) {
        SCOPED_TRACE("TURNPIKE_TEST_SEED=" + std::to_string(seed));
        World world(seed);
        for (int i = 0; i < 60; ++i) {
            world.disturb();
            world.pass(true);
        }
        world.calm();
        // 60 s of backoff at 200 ms a pass, and room for what follows it.
        int num_passes = 0;
        while (num_passes < 500) {
            ++num_passes;
            const Plan plan = world.pass(false);
            if (plan.actions.empty() && !plan.is_settling) break;
        }
        EXPECT_LT(num_passes, 500) << "no fixed point";
        world.check_reached();
        world.now += 1h;
        EXPECT_TRUE(world.pass(false).actions.empty()) << "a settled world changed by itself";
        if (HasFailure()) return;
    }
}

}  // namespace
}  // namespace turnpike::controlplane
