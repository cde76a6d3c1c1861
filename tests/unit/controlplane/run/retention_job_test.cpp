// When retention is applied: at the first pass of each day, and again soon when something was left.
#include "controlplane/run/retention_job.h"

#include "controlplane/store/audit.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

constexpr std::int64_t kHourUs = 3'600'000'000;

class RetentionJobTest : public StoreFixture {
  protected:
    // Whether a pass now deleted audit rows older than a day.
    bool deletes() {
        const auto before = num_cut();
        job_.run(now());
        return num_cut() != before;
    }

    std::int64_t num_cut() const { return verify_audit(*store_).value().num_cut; }

    void pass_hours(int number) { clock_.wall_us += number * kHourUs; }

    RetentionJob job_{{1, 1, 0}, *store_, log_};
};

// The clock starts at noon.
TEST_F(RetentionJobTest, RunsOncePerDay) {
    make_org("one");
    EXPECT_FALSE(deletes());
    pass_hours(11);
    make_org("two");
    EXPECT_FALSE(deletes());
    pass_hours(14);  // 13:00 of the next day: "one" is older than a day
    EXPECT_TRUE(deletes());
    pass_hours(10);  // 23:00: "two" is too, and the day has had its pass
    EXPECT_FALSE(deletes());
    pass_hours(1);
    EXPECT_TRUE(deletes());
}

TEST_F(RetentionJobTest, ANewProcessRunsAtOnce) {
    make_org("one");
    job_.run(now());
    pass_hours(36);
    make_org("two");
    RetentionJob again({0, 1, 0}, *store_, log_);
    again.run(now());
    EXPECT_EQ(num_cut(), 1);
}

TEST_F(RetentionJobTest, AClockThatWasSetBackDoesNotStopIt) {
    pass_hours(24 * 400);
    job_.run(now());
    pass_hours(-24 * 390);
    make_org("two");
    job_.run(now());
    pass_hours(48);
    EXPECT_TRUE(deletes());
}

TEST_F(RetentionJobTest, WhatIsLeftIsTriedAgain) {
    const OrgId org = make_org("acme").id;
    const auto price =
        make_name(make_endpoint(org, "acme/pool").id, "name", price_of(1, 1)).price.version;
    ASSERT_TRUE(store_->ingest_and_wait({"o", 0, {make_record(org, price, 1, 1)}}).has_value());
    ASSERT_TRUE(store_->wait_until_posted().has_value());
    pass_hours(24 * 60);
    auto kept = store_->keep_months();
    job_.run(now());
    EXPECT_EQ(store_->months().size(), 1u);
    kept.reset();
    job_.run(now());
    EXPECT_EQ(store_->months().size(), 1u);  // not at every pass
    clock_.wall_us += std::chrono::microseconds(kRetentionRetry).count();
    job_.run(now());
    EXPECT_TRUE(store_->months().empty());
}

}  // namespace
}  // namespace turnpike::controlplane
