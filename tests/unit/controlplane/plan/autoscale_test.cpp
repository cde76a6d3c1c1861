// One rule per case; the property test walks through whole days.
#include "controlplane/plan/autoscale.h"

#include <gtest/gtest.h>

namespace turnpike::controlplane {
namespace {

using namespace std::chrono_literals;

const WallTime kBegin = from_unix_us(1'800'000'000'000'000);

// An endpoint whose replicas are READY as soon as they are wanted, looked at every second.
class Endpoints {
  public:
    explicit Endpoints(Autoscaling bounds, int begin = 0)
        : num_replicas(begin), bounds_(bounds), scaler_(begin, kBegin, kBegin) {}

    ScaleDecision step(double num_requests) {
        now += 1s;
        sample.at = now;
        sample.num_requests = num_requests;
        sample.num_ready = num_replicas;
        const ScaleDecision decision = scaler_.decide(policy, bounds_, sample);
        num_replicas = decision.num_replicas;
        return decision;
    }

    void run(std::chrono::seconds time, double num_requests) {
        for (auto left = time; left > 0s; left -= 1s) step(num_requests);
    }

    ScalePolicy policy;
    LoadSample sample;
    WallTime now = kBegin;
    int num_replicas;

  private:
    Autoscaling bounds_;
    Autoscaler scaler_;
};

TEST(Autoscale, TheFirstRequestGetsAReplicaAtOnce) {
    Endpoints one({0, 4});
    EXPECT_EQ(one.step(0).num_replicas, 0);
    const ScaleDecision decision = one.step(1);
    EXPECT_EQ(decision.num_replicas, 1);
    EXPECT_FALSE(decision.reason.empty());
}

TEST(Autoscale, AsManyAsTheMeanOfTheStableWindowAsksFor) {
    Endpoints one({1, 10}, 2);
    one.run(59s, 8);
    EXPECT_EQ(one.num_replicas, 2) << "held: what was there at the beginning";
    one.run(60s, 23);
    EXPECT_EQ(one.num_replicas, 3);
    one.run(60s, 24);
    EXPECT_EQ(one.num_replicas, 3) << "three of eight";
    one.run(60s, 25);
    EXPECT_EQ(one.num_replicas, 4);
}

TEST(Autoscale, ARushCountsBeforeTheStableWindowHasSeenIt) {
    Endpoints one({1, 20}, 1);
    one.run(60s, 4);
    one.run(7s, 80);
    EXPECT_EQ(one.num_replicas, 10);
    one.run(60s, 4);
    EXPECT_EQ(one.num_replicas, 10);
}

TEST(Autoscale, NothingGoesBeforeADownWindowHasPassed) {
    Endpoints one({1, 10}, 1);
    one.run(120s, 40);
    ASSERT_EQ(one.num_replicas, 5);
    one.run(599s, 8);
    EXPECT_EQ(one.num_replicas, 5);
    one.run(120s, 8);
    EXPECT_EQ(one.num_replicas, 1);
}

TEST(Autoscale, ToNoneAfterTheIdleWindowOnlyWhereThatIsAllowed) {
    for (const int least : {0, 1}) {
        Endpoints one({least, 4});
        one.run(10s, 1);
        one.run(599s, 0);
        EXPECT_EQ(one.num_replicas, 1);
        one.run(1s, 0);
        EXPECT_EQ(one.num_replicas, least);
    }
}

TEST(Autoscale, RequestsTooShortToBeSeenKeepAReplica) {
    Endpoints one({0, 4});
    one.run(10s, 1);
    for (int i = 0; i < 100; ++i) {
        one.sample.last_request = one.now;
        one.run(30s, 0);
        ASSERT_EQ(one.num_replicas, 1) << i;
    }
    one.run(600s, 0);
    EXPECT_EQ(one.num_replicas, 0);
    one.sample.last_request = one.now;
    EXPECT_EQ(one.step(0).num_replicas, 1) << "one that came and went, wherever it was served";
}

TEST(Autoscale, ARequestStartsAReplicaAlsoWhenTheClockWasSetBack) {
    Endpoints one({0, 4});
    one.run(10s, 1);
    one.run(600s, 0);
    ASSERT_EQ(one.num_replicas, 0);
    one.now -= 3'600s;
    EXPECT_EQ(one.step(1).num_replicas, 1);
    one.run(600s, 0);
    EXPECT_EQ(one.num_replicas, 0) << "idle by the new clock";
}

TEST(Autoscale, AFractionOfARequestCountsAsWhatItIs) {
    Endpoints one({1, 10}, 1);
    one.run(660s, 7.9);
    EXPECT_EQ(one.num_replicas, 1);
    one.run(60s, 8.3);
    EXPECT_EQ(one.num_replicas, 2);
}

TEST(Autoscale, AFullCacheOrAWaitAsksForOneMoreThanServes) {
    Endpoints full({1, 10}, 2);
    full.sample.kv_usage = 0.9;
    full.step(1);
    EXPECT_EQ(full.num_replicas, 3);
    Endpoints waiting({1, 10}, 2);
    waiting.sample.wait = 2'001ms;
    waiting.step(1);
    EXPECT_EQ(waiting.num_replicas, 3);
}

TEST(Autoscale, AClockThatIsSetBackIsSurvived) {
    Endpoints one({0, 10});
    one.run(60s, 40);
    one.now -= 3'600s;
    one.run(60s, 40);
    EXPECT_EQ(one.num_replicas, 5);
}

}  // namespace
}  // namespace turnpike::controlplane
