// Leases: what is granted never passes what is there, whoever asks, repeats, restarts or dies.
#include "controlplane/store/leases.h"

#include <map>
#include <vector>

#include "controlplane/store/keys.h"
#include "controlplane/store/limits.h"
#include "tests/support/random.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

class Leases : public StoreFixture {
  protected:
    Leases() : org_(make_org("acme").id), subject_(limits_subject(org_)) {}

    void credit(std::int64_t nano_usd) {
        ASSERT_TRUE(add_credit(*store_, {org_, NanoUsd(nano_usd), "", ""}, now()).has_value());
    }

    LeaseRequest request(const std::string& gateway, std::int64_t epoch) const {
        LeaseRequest request;
        request.gateway = gateway;
        request.epoch = Epoch(epoch);
        return request;
    }

    LeaseRequest ask(const std::string& gateway,
                     std::int64_t epoch,
                     std::int64_t wanted,
                     std::int64_t settled = 0,
                     std::int64_t returned = 0) const {
        LeaseRequest asked = request(gateway, epoch);
        asked.asks.push_back({subject_, NanoUsd(settled), NanoUsd(returned), NanoUsd(wanted)});
        return asked;
    }

    LeaseAnswer grant(const LeaseRequest& asked) {
        auto answer = grant_leases(*store_, asked, terms_, now());
        EXPECT_TRUE(answer.has_value()) << answer.error().message;
        return answer ? *answer : LeaseAnswer();
    }

    std::int64_t granted(const LeaseRequest& asked) {
        return grant(asked).grants.at(0).granted.value();
    }

    void advance(std::chrono::microseconds time) { clock_.wall_us += time.count(); }

    OrgId org_;
    std::string subject_;
    LeaseTerms terms_;
};

TEST_F(Leases, TwoGatewaysNeverGetMoreThanThereIs) {
    credit(100);
    EXPECT_EQ(granted(ask("a", 0, 70)), 70);
    const LeaseAnswer second = grant(ask("b", 0, 70));
    EXPECT_EQ(second.grants[0].granted, NanoUsd(30));
    EXPECT_TRUE(second.grants[0].is_short);
    EXPECT_EQ(granted(ask("a", 1, 80)), 70);
}

TEST_F(Leases, RepeatedRequestGrantsOnce) {
    credit(100);
    EXPECT_EQ(granted(ask("a", 0, 40)), 40);
    EXPECT_EQ(granted(ask("a", 1, 40)), 40);
    EXPECT_EQ(granted(ask("a", 1, 40)), 40);
    EXPECT_EQ(granted(ask("b", 0, 100)), 60);
}

TEST_F(Leases, GrantsSurviveARestartOfTheControlPlane) {
    credit(100);
    EXPECT_EQ(granted(ask("a", 0, 100)), 100);
    open();
    EXPECT_EQ(granted(ask("b", 0, 100)), 0);
    EXPECT_EQ(granted(ask("a", 1, 100)), 100);
}

TEST_F(Leases, ReturnedAndSettledSumsNeverGoBack) {
    credit(100);
    EXPECT_EQ(granted(ask("a", 0, 100)), 100);
    EXPECT_EQ(granted(ask("a", 1, 0, 0, 60)), 100);
    EXPECT_EQ(granted(ask("a", 1, 0, 0, 10)), 100);  // late
    EXPECT_EQ(granted(ask("b", 0, 100)), 60);
}

TEST_F(Leases, SettledUsageCountsOnceWhenItIsPosted) {
    credit(1000);
    const Endpoint endpoint = make_endpoint(org_, "pool");
    const ModelRow name = make_name(endpoint.id, "name", price_of(1, 1));
    EXPECT_EQ(granted(ask("a", 0, 400)), 400);
    UsageBatch batch{"a", 1, {make_record(org_, name.price.version, 100, 50)}};
    ASSERT_TRUE(store_->ingest_and_wait(std::move(batch)).has_value());
    // Posted but not yet settled: counted twice for a while, which is safe.
    EXPECT_EQ(granted(ask("b", 0, 1000)), 450);
    EXPECT_EQ(granted(ask("a", 1, 0, 150)), 400);
    EXPECT_EQ(granted(ask("b", 1, 1000)), 600);
}

TEST_F(Leases, OlderRunIsFencedAndFreedOnceItsUsageIsDelivered) {
    credit(100);
    EXPECT_EQ(granted(ask("a", 0, 100)), 100);
    EXPECT_EQ(granted(ask("a", 0, 100)), 0);  // the next run; what the first held is unknown
    EXPECT_EQ(grant_leases(*store_, ask("a", 1, 100), terms_, now()).error().code,
              ErrorCode::kConflict);
    LeaseRequest delivered = ask("a", 2, 100);
    delivered.has_delivered_earlier_runs = true;
    EXPECT_EQ(granted(delivered), 100);
}

TEST_F(Leases, WhoLeavesFreesAGrantWhoseAnswerWasLost) {
    credit(100);
    EXPECT_EQ(granted(ask("a", 0, 30)), 30);
    EXPECT_EQ(granted(ask("a", 1, 100)), 100);  // and never heard of
    LeaseRequest leaving = ask("a", 1, 30, 10, 20);
    leaving.is_leaving = true;
    EXPECT_EQ(granted(leaving), 30);
    EXPECT_EQ(granted(leaving), 30);  // its answer was lost as well
    EXPECT_EQ(granted(ask("b", 0, 100)), 100);
}

// What was settled stays accounted for when the leaving gateway knows of less.
TEST_F(Leases, WhoLeavesKeepsWhatItSettled) {
    credit(100);
    EXPECT_EQ(granted(ask("a", 0, 40)), 40);
    EXPECT_EQ(granted(ask("a", 1, 40, 25, 10)), 40);
    LeaseRequest leaving = ask("a", 1, 0);
    leaving.is_leaving = true;
    EXPECT_EQ(granted(leaving), 35);
}

// A run that never asked for anything gives back what the run before it held.
TEST_F(Leases, WhoLeavesInANewEpochFreesEarlierRunsAndItsShare) {
    credit(100);
    EXPECT_EQ(granted(ask("a", 0, 100)), 100);
    LeaseRequest leaving = request("a", 0);
    leaving.is_leaving = true;
    leaving.has_delivered_earlier_runs = true;
    const LeaseAnswer left = grant(leaving);
    EXPECT_EQ(left.epoch, Epoch(2));
    EXPECT_EQ(left.share_ppm, 0);
    const LeaseAnswer other = grant(ask("b", 0, 100));
    EXPECT_EQ(other.grants[0].granted, NanoUsd(100));
    EXPECT_EQ(other.share_ppm, kWholeShare);
}

TEST_F(Leases, GatewayThatIsGivenUpFreesWhatItHeld) {
    credit(100);
    EXPECT_EQ(granted(ask("a", 0, 100)), 100);
    advance(terms_.lifetime + std::chrono::minutes(1));
    EXPECT_EQ(granted(ask("b", 0, 100)), 0);
    advance(terms_.give_up);
    EXPECT_EQ(granted(ask("b", 1, 100)), 100);
}

TEST_F(Leases, OverdraftIsCreditToo) {
    terms_.overdraft = NanoUsd(50);
    EXPECT_EQ(granted(ask("a", 0, 100)), 50);
}

TEST_F(Leases, MonthlyAllowanceBoundsTheOrganisation) {
    credit(1000);
    Limits limits;
    limits.monthly_spend = NanoUsd(70);
    ASSERT_TRUE(set_limits(*store_, {subject_, limits}, now()).has_value());
    EXPECT_EQ(find_limits(*store_, subject_).value().row.limits, limits);
    EXPECT_EQ(granted(ask("a", 0, 100)), 70);
}

TEST_F(Leases, KeysAllowanceBeginsAnewWithTheMonth) {
    crypto::Peppers peppers{{{1, Secret(std::string(32, 'p'))}}};
    const KeyId key = create_key(*store_, peppers, org_, "ci", now()).value().key.id;
    subject_ = limits_subject(key);
    Limits limits;
    limits.monthly_spend = NanoUsd(70);
    ASSERT_TRUE(set_limits(*store_, {subject_, limits}, now()).has_value());
    EXPECT_EQ(granted(ask("a", 0, 100)), 70);
    EXPECT_EQ(granted(ask("a", 1, 100, 70)), 70);  // November's is spent
    advance(std::chrono::hours(24 * 10));
    EXPECT_EQ(granted(ask("a", 1, 100, 70)), 100);
}

TEST_F(Leases, SharesNeverAddUpToMoreThanTheWhole) {
    EXPECT_EQ(grant(request("a", 0)).share_ppm, 1'000'000);
    EXPECT_EQ(grant(request("b", 0)).share_ppm, 0);  // until a has given way
    LeaseRequest a = request("a", 1);
    a.share_ppm = 1'000'000;
    EXPECT_EQ(grant(a).share_ppm, 500'000);
    // That answer may be lost: a goes by the whole until it says otherwise.
    EXPECT_EQ(grant(request("b", 1)).share_ppm, 0);
    EXPECT_EQ(grant(a).share_ppm, 500'000);
    a.share_ppm = 500'000;
    EXPECT_EQ(grant(a).share_ppm, 500'000);
    EXPECT_EQ(grant(request("b", 1)).share_ppm, 500'000);
    LeaseRequest leaving = request("a", 1);
    leaving.is_leaving = true;
    EXPECT_EQ(grant(leaving).share_ppm, 0);
    EXPECT_EQ(grant(request("b", 1)).share_ppm, 1'000'000);
}

// A gateway as the protocol sees it: it spends what it has, and tells late or never.
struct Spender {
    std::string id;
    std::int64_t epoch = 0;
    std::int64_t granted = 0;
    std::int64_t returned = 0;
    std::int64_t spent = 0;
    std::int64_t settled = 0;            // acknowledged, of this run
    std::vector<UsageRecord> pending{};  // its outbox, which survives a kill
};

TEST_F(Leases, NoOrderOfEventsSpendsMoreThanTheCredit) {
    test::SeededRandom random(10);
    SCOPED_TRACE(random.replay());
    constexpr std::int64_t kCredit = 5000;
    credit(kCredit);
    const Endpoint endpoint = make_endpoint(org_, "pool");
    const ModelRow name = make_name(endpoint.id, "name", price_of(1, 1));
    std::vector<Spender> gateways{{"a"}, {"b"}, {"c"}};
    std::int64_t total_spent = 0;
    std::map<std::string, int> counts;
    for (int i = 0; i < 600; ++i) {
        Spender& gateway = gateways[static_cast<std::size_t>(random.between(0, 2))];
        const std::int64_t kind = random.between(0, 9);
        if (kind < 4) {  // a request that is within the lease
            const std::int64_t room = gateway.granted - gateway.returned - gateway.spent;
            if (room <= 0) continue;
            const std::int64_t cost = random.between(1, std::min<std::int64_t>(room, 40));
            gateway.pending.push_back(make_record(org_, name.price.version, cost, 0));
            gateway.spent += cost;
            total_spent += cost;
            ++counts["spent"];
        } else if (kind < 6) {  // its outbox is delivered
            if (gateway.pending.empty()) continue;
            ASSERT_TRUE(store_->ingest_and_wait({gateway.id, 1, gateway.pending}).has_value());
            gateway.pending.clear();
            gateway.settled = gateway.spent;
            ++counts["delivered"];
        } else if (kind < 9) {
            if (random.between(0, 4) == 0) gateway.returned = gateway.granted - gateway.spent;
            LeaseRequest asked =
                ask(gateway.id, gateway.epoch, gateway.granted + random.between(0, 300),
                    gateway.settled, gateway.returned);
            asked.has_delivered_earlier_runs = gateway.pending.empty();
            const LeaseAnswer answer = grant(asked);
            if (random.between(0, 4) == 0) continue;  // the answer is lost
            gateway.epoch = answer.epoch.value();
            gateway.granted = answer.grants[0].granted.value();
            ++counts["granted"];
        } else {  // kill -9: it forgets all but its outbox
            gateway = {gateway.id, 0, 0, 0, 0, 0, std::move(gateway.pending)};
            ++counts["killed"];
        }
        ASSERT_LE(total_spent, kCredit) << "step " << i;
    }
    for (const char* kind : {"spent", "delivered", "granted", "killed"})
        EXPECT_GT(counts[kind], 20);
    EXPECT_GT(total_spent, 500);
}

}  // namespace
}  // namespace turnpike::controlplane
