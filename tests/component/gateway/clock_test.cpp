// A wall clock that steps while requests run: nothing is billed twice, or not, or of another price,
// and no limit or time-out takes notice.
#include <atomic>

#include "tests/component/gateway/gateway_fixture.h"

namespace turnpike::gateway {
namespace {

using controlplane::Outcome;
using controlplane::UsageRecord;
using test::EngineConnection;
using test::EngineRequest;
using test::FakeEngine;
using test::Latch;

class SteppingClock final : public Clock {
  public:
    WallTime wall_now() const override { return clock_.wall_now() + offset.load(); }

    SteadyTime steady_now() const override { return clock_.steady_now(); }

    std::atomic<std::chrono::minutes> offset{std::chrono::minutes(0)};

  private:
    SystemClock clock_;
};

class ClockTest : public GatewayTest {
  protected:
    void SetUp() override {
        auto started = Gateway::start(options_, stepping_, log_);
        ASSERT_TRUE(started.has_value()) << started.error().message;
        gateway_ = std::move(*started);
    }

    // The gateway ends before its clock.
    void TearDown() override { gateway_.reset(); }

    SteppingClock stepping_;
};

TEST_F(ClockTest, StepsChangeNoBill) {
    for (const int minutes : {-120, 180, -61, 61}) {
        Latch has_stepped;
        FakeEngine engine(engine_path(minutes + 200),
                          [&](const EngineRequest&, EngineConnection& to) {
                              to.begin();
                              to.meter({9, 0, 1, 0});
                              to.event("{}");
                              EXPECT_TRUE(has_stepped.wait());
                              to.meter({9, 0, 2, 0});
                              to.done();
                              to.end();
                          });
        publish({&engine});
        const std::size_t num_before = controlplane_->wait_for_records(0).size();
        auto client = connect();
        client.send(post_text(kStreamBody));
        client.read_until("data: {}\n\n");
        stepping_.offset = std::chrono::minutes(minutes);
        has_stepped.set();
        client.read_until("[DONE]");
        EXPECT_EQ(post(kStreamBody).status, 200) << minutes;  // no limit is reached by it
        const auto records = controlplane_->wait_for_records(num_before + 2);
        ASSERT_EQ(records.size(), num_before + 2) << minutes;
        for (std::size_t i = num_before; i < records.size(); ++i) {
            EXPECT_EQ(records[i].outcome, Outcome::kCompleted);
            EXPECT_EQ(records[i].usage, (TokenUsage{9, 0, 2, 0}));
            EXPECT_EQ(records[i].price_version, records[0].price_version);
        }
        stepping_.offset = std::chrono::minutes(0);
    }
    EXPECT_EQ(gateway_->leases().num_holds(), 0U);
    EXPECT_EQ(gateway_->state().num_slots, 0);
    EXPECT_EQ(controlplane_->num_conflicts(), 0U);
}

}  // namespace
}  // namespace turnpike::gateway
