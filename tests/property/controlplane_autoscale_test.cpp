// Generated load of many shapes over virtual hours, and a recorded one, with replicas that take
// their time to become READY. Whatever comes: never out of bounds, never fewer than were wanted a
// down window ago, no going to and fro, enough replicas for load that lasts, and a steady number
// for steady load.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "controlplane/plan/autoscale.h"

namespace turnpike::controlplane {
namespace {

using namespace std::chrono_literals;

constexpr int kHours = 4;

struct Moment {
    WallTime at;
    double num_requests = 0.0;
    int num_replicas = 0;
};

// A load that lasts, bursts, drifts and rests, second by second.
class Load {
  public:
    explicit Load(unsigned seed) : random_(seed) {}

    double next() {
        if (left_-- <= 0) begin_phase();
        level_ = std::max(0.0, level_ + drift_);
        if (level_ == 0.0) return 0.0;
        return static_cast<double>(std::poisson_distribution<std::int64_t>(level_)(random_));
    }

    int pick(int end) { return std::uniform_int_distribution<int>(0, end - 1)(random_); }

  private:
    void begin_phase() {
        left_ = 1 + pick(1'200);
        drift_ = pick(3) == 0 ? (pick(200) - 100) / 1'000.0 : 0.0;
        switch (pick(4)) {
            case 0:
                level_ = 0.0;
                drift_ = 0.0;
                break;
            case 1:
                level_ = pick(10);
                break;
            case 2:
                level_ = pick(120);
                break;
            default:
                left_ = 1 + pick(20);
                level_ = pick(400);
        }
    }

    std::mt19937 random_;
    int left_ = 0;
    double level_ = 0.0;
    double drift_ = 0.0;
};

// What the rules say, from the outside.
void check(const ScalePolicy& policy,
           const Autoscaling& bounds,
           const std::vector<Moment>& moments,
           const std::string& note) {
    WallTime last_up = moments.front().at;
    WallTime last_request = moments.front().at;
    for (std::size_t i = 1; i < moments.size(); ++i) {
        const Moment& now = moments[i];
        const int before = moments[i - 1].num_replicas;
        ASSERT_GE(now.num_replicas, bounds.min_replicas) << note;
        ASSERT_LE(now.num_replicas, bounds.max_replicas) << note;
        if (now.num_requests > 0) {
            last_request = now.at;
            ASSERT_GE(now.num_replicas, std::max(1, bounds.min_replicas)) << note;
        }
        if (now.num_replicas > before) last_up = now.at;
        const bool is_idle = now.at - last_request >= policy.idle_window;
        const bool goes_down = now.num_replicas < before && !is_idle;
        ASSERT_TRUE(!goes_down || now.at - last_up >= policy.down_window)
            << note << " second " << i;
        ASSERT_TRUE(now.num_replicas > 0 || is_idle || before == 0) << note;
    }
}

TEST(AutoscaleProperty, GeneratedLoad) {
    const char* const given = std::getenv("TURNPIKE_SEED");
    const unsigned first =
        given == nullptr ? 1 : static_cast<unsigned>(std::strtoul(given, nullptr, 10));
    const unsigned end = given == nullptr ? first + 150 : first + 1;
    for (unsigned seed = first; seed < end; ++seed) {
        Load load(seed);
        ScalePolicy policy;
        policy.target_in_flight = 1 + load.pick(16);
        policy.down_window = 60s * (1 + load.pick(15));
        policy.idle_window = 30s * (1 + load.pick(40));
        const int most = 1 + load.pick(12);
        const Autoscaling bounds{load.pick(most + 1), most};
        const int ready_after = load.pick(120);
        WallTime now = from_unix_us(1'800'000'000'000'000);
        Autoscaler scaler(bounds.min_replicas, now, now);
        std::vector<Moment> moments{{now, 0, bounds.min_replicas}};
        for (int second = 0; second < kHours * 3'600; ++second) {
            now += 1s;
            LoadSample sample{now, load.next(), {}, 0.0, 0};
            const auto past = static_cast<std::size_t>(std::max(0, second - ready_after));
            sample.num_ready = std::min(moments[past].num_replicas, moments.back().num_replicas);
            const ScaleDecision decision = scaler.decide(policy, bounds, sample);
            moments.push_back({now, sample.num_requests, decision.num_replicas});
        }
        check(policy, bounds, moments, "TURNPIKE_SEED=" + std::to_string(seed));
        if (HasFatalFailure()) return;
    }
}

// What a gateway had in hand under `turnpike bench`, four times a second: see record_load.py.
std::vector<double> recorded_load() {
    std::ifstream file(std::string(TURNPIKE_SOURCE_DIR) + "/tests/property/data/recorded_load.txt");
    std::vector<double> numbers;
    for (double number = 0.0; file >> number;) numbers.push_back(number);
    return numbers;
}

// Played at its own speed and slowed down to hours, with every policy and time to become READY.
TEST(AutoscaleProperty, RecordedLoad) {
    const std::vector<double> recorded = recorded_load();
    ASSERT_GT(recorded.size(), 300U);
    for (const auto step : {250ms, 1'000ms, 10'000ms, 60'000ms}) {
        for (const double target : {1.0, 2.0, 8.0}) {
            for (const int ready_after : {0, 20, 200}) {
                ScalePolicy policy;
                policy.target_in_flight = target;
                const Autoscaling bounds{0, 12};
                WallTime now = from_unix_us(1'800'000'000'000'000);
                Autoscaler scaler(0, now, now);
                std::vector<Moment> moments{{now, 0, 0}};
                for (std::size_t i = 0; i < recorded.size(); ++i) {
                    now += step;
                    const auto past = i < static_cast<std::size_t>(ready_after)
                                          ? 0
                                          : i - static_cast<std::size_t>(ready_after);
                    LoadSample sample{now, recorded[i], {}, 0.0, 0};
                    sample.num_ready =
                        std::min(moments[past].num_replicas, moments.back().num_replicas);
                    const ScaleDecision decision = scaler.decide(policy, bounds, sample);
                    moments.push_back({now, recorded[i], decision.num_replicas});
                }
                check(policy, bounds, moments, "step " + std::to_string(step.count()) + " ms");
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST(AutoscaleProperty, LoadThatLastsGetsWhatItNeedsAndNoMore) {
    for (int num_requests = 1; num_requests < 200; num_requests += 7) {
        const ScalePolicy policy;
        const Autoscaling bounds{0, 1'000};
        WallTime now = from_unix_us(1'800'000'000'000'000);
        Autoscaler scaler(0, now, now);
        const double load = num_requests;
        const int needed = static_cast<int>(std::ceil(load / policy.target_in_flight));
        int num_replicas = 0;
        for (int second = 0; second < 3'600; ++second) {
            now += 1s;
            num_replicas =
                scaler.decide(policy, bounds, {now, load, {}, 0.0, num_replicas}).num_replicas;
            ASSERT_LE(num_replicas, needed);
            ASSERT_TRUE(second < 60 || num_replicas == needed) << num_requests;
        }
    }
}

// A day at a pool as an operator would see it: quiet night, a morning, a rush at noon, an evening
// that ends. Recorded as its number of changes.
TEST(AutoscaleProperty, ADayNeedsFewChanges) {
    const ScalePolicy policy;
    const Autoscaling bounds{1, 16};
    WallTime now = from_unix_us(1'800'000'000'000'000);
    Autoscaler scaler(1, now, now);
    std::mt19937 random(7);
    int num_replicas = 1;
    int num_changes = 0;
    int peak = 0;
    for (int second = 0; second < 24 * 3'600; ++second) {
        now += 1s;
        const double hour = second / 3'600.0;
        double level = 4.0 + 46.0 * std::exp(-std::pow((hour - 14.0) / 4.0, 2));
        if (hour > 12.0 && hour < 12.1) level += 60.0;
        const auto requests =
            static_cast<double>(std::poisson_distribution<std::int64_t>(level)(random));
        const int before = num_replicas;
        num_replicas =
            scaler.decide(policy, bounds, {now, requests, {}, 0.0, num_replicas}).num_replicas;
        num_changes += num_replicas == before ? 0 : 1;
        peak = std::max(peak, num_replicas);
    }
    EXPECT_GE(peak, 12);
    EXPECT_LE(num_changes, 60);
}

}  // namespace
}  // namespace turnpike::controlplane
