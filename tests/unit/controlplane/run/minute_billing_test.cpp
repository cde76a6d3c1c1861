// What a pass books, and when it stops an endpoint whose owner does not pay.
#include "controlplane/run/minute_billing.h"

#include "controlplane/store/minutes.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

constexpr std::int64_t kMinuteUs = 60'000'000;
const NanoUsd kPrice(10'000'000);

class MinuteBillingTest : public StoreFixture {
  protected:
    MinuteBillingTest() : org_(make_org("acme").id), endpoint_(make_endpoint(org_, "acme/m-1")) {
        Price price;
        price.per_minute_nano_usd = kPrice;
        make_name(endpoint_.id, endpoint_.name, price);
        desired_.endpoints = {endpoint_};
        add_replica(0, ReplicaState::kReady, Answer::kReady);
    }

    void add_replica(int index, ReplicaState state, Answer answer) {
        Replica row;
        row.id = ReplicaId("r" + std::to_string(index));
        row.endpoint = endpoint_.id;
        row.index = index;
        row.state = state;
        observed_.replicas.push_back(row);
        ObservedProcess process;
        process.id = row.id;
        process.is_running = true;
        process.answer = answer;
        observed_.processes.push_back(process);
    }

    void pass() {
        desired_.endpoints = list_endpoints(*store_, std::nullopt).value();
        billing_.run(desired_, observed_, now());
    }

    std::int64_t num_booked() {
        std::int64_t sum = 0;
        const auto groups = group_minutes(*store_, org_, now() - std::chrono::hours(24),
                                          now() + std::chrono::hours(24));
        for (const MinuteGroup& group : groups.value()) sum += group.num_minutes;
        return sum;
    }

    OrgId org_;
    Endpoint endpoint_;
    Desired desired_;
    Observed observed_;
    LoopMetrics metrics_;
    MinuteBilling billing_{NanoUsd(), *store_, metrics_, log_};
};

TEST_F(MinuteBillingTest, BooksReadyReplicasThatAnswer) {
    add_replica(1, ReplicaState::kLoading, Answer::kLoading);
    add_replica(2, ReplicaState::kReady, Answer::kNone);
    add_replica(3, ReplicaState::kDraining, Answer::kDraining);
    pass();
    pass();
    EXPECT_EQ(num_booked(), 1);
    clock_.wall_us += kMinuteUs;
    pass();
    EXPECT_EQ(num_booked(), 2);
    EXPECT_EQ(metrics_.minutes_booked.value(), 2);
}

TEST_F(MinuteBillingTest, ServerlessPoolsHaveNoMinutes) {
    NewEndpoint pool;
    pool.wanted = endpoint_;
    pool.wanted.id = {};
    pool.wanted.name = "pool";
    pool.wanted.type = EndpointType::kServerless;
    const Endpoint made = create_endpoint(*store_, pool, now()).value();
    observed_.replicas.front().endpoint = made.id;
    pass();
    EXPECT_EQ(num_booked(), 0);
}

TEST_F(MinuteBillingTest, WithoutCreditThereAreFifteenMinutesLeft) {
    ASSERT_TRUE(add_credit(*store_, {org_, multiply(kPrice, 2), "", "k", CreditKind::kAdd}, now()));
    // The second minute takes the last of it.
    for (int minute = 0; minute < 16; ++minute) {
        pass();
        EXPECT_EQ(find_endpoint(*store_, endpoint_.id).value().desired, DesiredState::kStarted)
            << minute;
        clock_.wall_us += kMinuteUs;
    }
    pass();
    const Endpoint stopped = find_endpoint(*store_, endpoint_.id).value();
    EXPECT_EQ(stopped.desired, DesiredState::kStopped);
    EXPECT_FALSE(stopped.stop_reason.empty());
    EXPECT_EQ(desired_.endpoints.front().desired, DesiredState::kStopped);
}

TEST_F(MinuteBillingTest, CreditThatComesInTimeKeepsItRunning) {
    pass();
    ASSERT_TRUE(find_endpoint(*store_, endpoint_.id).value().unpaid_since.has_value());
    clock_.wall_us += 10 * kMinuteUs;
    ASSERT_TRUE(
        add_credit(*store_, {org_, multiply(kPrice, 100), "", "k", CreditKind::kAdd}, now()));
    pass();
    EXPECT_FALSE(find_endpoint(*store_, endpoint_.id).value().unpaid_since.has_value());
    clock_.wall_us += 10 * kMinuteUs;
    pass();
    EXPECT_EQ(find_endpoint(*store_, endpoint_.id).value().desired, DesiredState::kStarted);
}

}  // namespace
}  // namespace turnpike::controlplane
