// What a pass makes of load reports: the store is told before anybody acts.
#include "controlplane/run/scaling.h"

#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

constexpr std::int64_t kSecondUs = 1'000'000;

class ScalingTest : public StoreFixture {
  protected:
    ScalingTest() : org_(make_org("acme").id), endpoint_(make_endpoint(org_, "acme/m-1")) {}

    void set(Autoscaling bounds, std::int64_t inactive_timeout_minutes = 0) {
        EndpointChange change;
        change.autoscaling = bounds;
        change.inactive_timeout_minutes = inactive_timeout_minutes;
        ASSERT_TRUE(update_endpoint(*store_, endpoint_.id, change, "test", now()).has_value());
    }

    // One a second.
    void pass(double num_requests, int count = 1) {
        for (int i = 0; i < count; ++i) {
            clock_.wall_us += kSecondUs;
            loads_ = {{endpoint_.id, num_requests, 0, 0, {}}};
            desired_.endpoints = list_endpoints(*store_, std::nullopt).value();
            scaling_.run(desired_, {}, now());
        }
    }

    Endpoint stored() { return find_endpoint(*store_, endpoint_.id).value(); }

    OrgId org_;
    Endpoint endpoint_;
    Desired desired_;
    std::optional<std::vector<EndpointLoad>> loads_;
    LoopMetrics metrics_;
    Scaling scaling_{{}, [this](WallTime) { return loads_; }, *store_, metrics_, log_};
};

TEST_F(ScalingTest, WhatIsWantedIsInTheStoreAndInThePass) {
    set({0, 4});
    pass(0);
    EXPECT_EQ(stored().target_replicas, 1) << "as it was, for its down window";
    pass(30, 70);
    EXPECT_EQ(stored().target_replicas, 4);
    EXPECT_EQ(desired_.endpoints.front().target_replicas, 4);
    EXPECT_GE(metrics_.decisions[0].value(), 1);
    pass(0, 1300);
    EXPECT_EQ(stored().target_replicas, 0);
    EXPECT_GE(metrics_.decisions[1].value(), 1);
    EXPECT_EQ(metrics_.decisions[2].value(), 0);
}

TEST_F(ScalingTest, WithoutReportsNothingIsScaled) {
    set({0, 4});
    pass(30, 70);
    clock_.wall_us += 3'600 * kSecondUs;
    loads_.reset();
    desired_.endpoints = list_endpoints(*store_, std::nullopt).value();
    scaling_.run(desired_, {}, now());
    EXPECT_EQ(stored().target_replicas, 4);
}

TEST_F(ScalingTest, AControlPlaneThatStartsAnewKeepsWhatThereIs) {
    set({1, 4});
    pass(30, 70);
    Scaling again(
        {}, [this](WallTime) { return loads_; }, *store_, metrics_, log_);
    loads_ = std::vector<EndpointLoad>();
    desired_.endpoints = list_endpoints(*store_, std::nullopt).value();
    again.run(desired_, {}, now());
    EXPECT_EQ(stored().target_replicas, 4);
}

TEST_F(ScalingTest, AnIdleEndpointStopsAfterItsTimeout) {
    set({1, 1}, 2);
    pass(1, 90);
    pass(0, 119);
    EXPECT_EQ(stored().desired, DesiredState::kStarted);
    pass(0, 2);
    EXPECT_EQ(stored().desired, DesiredState::kStopped);
    EXPECT_EQ(stored().stop_reason, "no request for 2 minutes");
    EXPECT_EQ(metrics_.decisions[2].value(), 1);
    EXPECT_EQ(desired_.endpoints.front().desired, DesiredState::kStopped);
}

}  // namespace
}  // namespace turnpike::controlplane
