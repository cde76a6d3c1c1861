// Gateways and the control plane's store together, under any order of requests, lost messages,
// kills and absences: credit for exactly K admits K, bills stay within the credit, and rate limits
// that several gateways share are never passed.
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "controlplane/store/leases.h"
#include "gateway/edge/lease_desk.h"
#include "gateway/policy/account.h"
#include "tests/support/random.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::gateway {
namespace {

using controlplane::Endpoint;
using controlplane::LeaseRequest;
using controlplane::Limits;
using controlplane::ModelRow;

using controlplane::UsageRecord;

constexpr TokenCount kPrompt = 10;
constexpr TokenCount kMaxOutput = 90;
constexpr std::int64_t kHold = kPrompt + kMaxOutput;  // at a nano-dollar each

struct Held {
    std::unique_ptr<CreditHold> hold;
};

// One gateway: its desk lasts as long as its process, its records as long as its disk.
struct Gateway {
    std::string id;
    std::unique_ptr<LeaseDesk> desk;
    std::deque<Held> open;
    std::vector<UsageRecord> outbox;
    std::int64_t share_ppm = 0;  // on its disk
    std::unique_ptr<Account> account;
};

class GatewayLeasesTest : public controlplane::StoreFixture {
  protected:
    void restart(Gateway& gateway) {
        gateway.open.clear();
        gateway.account = std::make_unique<Account>();
        LeaseDeskOptions options;
        options.book.slice = NanoUsd(2 * kHold);
        options.book.share_ppm = gateway.share_ppm;
        options.unleased = NanoUsd();
        options.ask_again_after = 0;
        gateway.desk = std::make_unique<LeaseDesk>(clock_, options);
    }

    // As LeaseClient does it; the message or its answer may be lost.
    void exchange(Gateway& gateway, test::SeededRandom& random, int loss_percent) {
        const auto is_lost = [&] { return random.between(1, 100) <= loss_percent; };
        const auto request = gateway.desk->next_request(gateway.id, gateway.outbox.empty());
        if (!request || is_lost()) return;
        const auto answer = grant_leases(*store_, *request, terms_, now());
        ASSERT_TRUE(answer.has_value()) << answer.error().message;
        if (is_lost()) return;
        gateway.share_ppm = answer->share_ppm;
        gateway.desk->apply(*answer, gateway.desk->now());
    }

    void deliver(Gateway& gateway) {
        gateway.desk->checkpoint();
        if (gateway.outbox.empty()) return gateway.desk->confirm_checkpoint();
        ASSERT_TRUE(store_->ingest_and_wait({gateway.id, 1, gateway.outbox}).has_value());
        gateway.outbox.clear();
        gateway.desk->confirm_checkpoint();
    }

    void advance(std::chrono::milliseconds time) {
        clock_.steady = clock_.steady.load() + time;
        clock_.wall_us += std::chrono::microseconds(time).count();
    }

    controlplane::LeaseTerms terms_;
};

class CreditLeasesTest : public GatewayLeasesTest {
  protected:
    CreditLeasesTest() {
        const OrgId owner = make_org("owner").id;
        name_ = make_name(make_endpoint(owner, "pool").id, "name", price_of(1, 1));
        terms_of_hold_.price = name_.price;
        terms_of_hold_.max_output_tokens = kMaxOutput;
    }

    void begin_world(int number, int num_gateways, int num_affordable) {
        org_ = make_org("org" + std::to_string(number)).id;
        subject_ = controlplane::limits_subject(org_);
        credit_ = num_affordable * kHold;
        if (credit_ > 0) {
            ASSERT_TRUE(add_credit(*store_, {org_, NanoUsd(credit_), "", ""}, now()).has_value());
        }
        gateways_.clear();
        for (int i = 0; i < num_gateways; ++i) {
            gateways_.emplace_back();
            gateways_.back().id = "g" + std::to_string(number) + "-" + std::to_string(i);
            restart(gateways_.back());
        }
        billed_ = 0;
    }

    Gateway& any_gateway(test::SeededRandom& random) {
        const auto last = static_cast<std::int64_t>(gateways_.size()) - 1;
        return gateways_[static_cast<std::size_t>(random.between(0, last))];
    }

    // True when it was let in.
    bool begin(Gateway& gateway) {
        auto answer = gateway.desk->begin(subject_, "", terms_of_hold_, kPrompt);
        if (answer.hold == nullptr) return false;
        gateway.open.push_back({std::move(answer.hold)});
        return true;
    }

    void end_one(Gateway& gateway, TokenCount num_output) {
        if (gateway.open.empty()) return;
        UsageRecord record = make_record(org_, name_.price.version, kPrompt, num_output);
        gateway.open.front().hold->note_usage(record.usage);
        gateway.open.pop_front();
        gateway.outbox.push_back(std::move(record));
        billed_ += kPrompt + num_output;
    }

    OrgId org_;
    std::string subject_;
    ModelRow name_;
    HoldTerms terms_of_hold_;
    std::int64_t credit_ = 0;
    std::int64_t billed_ = 0;
    std::vector<Gateway> gateways_;
};

// N arrive at once, in any order over any gateways, and ask until there is nothing to wait for.
TEST_F(CreditLeasesTest, CreditForExactlyKAdmitsKOfNInParallel) {
    test::SeededRandom random(11);
    SCOPED_TRACE(random.replay());
    int num_refused = 0;
    for (int number = 0; number < 1000; ++number) {
        const int num_affordable = static_cast<int>(random.between(0, 8));
        const int num_requests = static_cast<int>(random.between(1, 12));
        begin_world(number, static_cast<int>(random.between(1, 3)), num_affordable);
        std::vector<Gateway*> waiting;
        for (int i = 0; i < num_requests; ++i) waiting.push_back(&any_gateway(random));
        int num_admitted = 0;
        for (int round = 0; round < 100 && !waiting.empty(); ++round) {
            const auto last = static_cast<std::int64_t>(waiting.size()) - 1;
            const auto next = waiting.begin() + random.between(0, last);
            if (begin(**next)) {
                ++num_admitted;
                waiting.erase(next);
            } else {
                exchange(any_gateway(random), random, 20);
            }
            ASSERT_LE(num_admitted, num_affordable) << "interleaving " << number;
        }
        // What is granted to one gateway is not another's: each keeps two holds free, or as much as
        // it holds.
        const int num_possible = std::min(num_requests, num_affordable);
        int num_stranded = 0;
        for (const Gateway& gateway : gateways_)
            num_stranded += std::max(2, static_cast<int>(gateway.open.size()));
        ASSERT_GE(num_admitted, std::max(0, num_possible - num_stranded)) << number;
        if (gateways_.size() == 1) {
            ASSERT_EQ(num_admitted, num_possible) << number;
        }
        num_refused += num_requests - num_admitted;
    }
    EXPECT_GT(num_refused, 500);
}

TEST_F(CreditLeasesTest, NoOrderOfEventsBillsMoreThanTheCredit) {
    test::SeededRandom random(12);
    SCOPED_TRACE(random.replay());
    std::array<int, 5> counts{};
    for (int number = 0; number < 300; ++number) {
        begin_world(number, static_cast<int>(random.between(1, 3)),
                    static_cast<int>(random.between(1, 6)));
        for (int step = 0; step < 60; ++step) {
            Gateway& gateway = any_gateway(random);
            const std::int64_t kind = random.between(0, 19);
            if (kind < 8) {
                counts[0] += begin(gateway) ? 1 : 0;
            } else if (kind < 12) {
                counts[1] += gateway.open.empty() ? 0 : 1;
                end_one(gateway, random.between(0, kMaxOutput));
            } else if (kind < 17) {
                exchange(gateway, random, 20);
                ++counts[2];
            } else if (kind < 19) {
                deliver(gateway);
                ++counts[3];
            } else {  // kill -9: what was open is written off
                restart(gateway);
                ++counts[4];
            }
            ASSERT_LE(billed_, credit_) << "world " << number << ", step " << step;
        }
        for (Gateway& gateway : gateways_) gateway.open.clear();
    }
    for (const int count : counts) EXPECT_GT(count, 300);
}

struct Admitted {
    Nanos at = 0;
};

// An offline leaky bucket: whether some window holds more than `burst` + rate * window.
bool is_within(const std::vector<Admitted>& admitted, std::int64_t limit, std::int64_t burst) {
    __extension__ using Wide = __int128;
    Wide level = 0;
    Nanos last = 0;
    for (const Admitted& entry : admitted) {
        level = std::max<Wide>(0, level - static_cast<Wide>(entry.at - last) * limit);
        last = entry.at;
        level += kNanosPerMinute;
        if (level > static_cast<Wide>(burst) * kNanosPerMinute) return false;
    }
    return true;
}

// Gateways join, leave and lose messages; at times the control plane is away altogether.
TEST_F(GatewayLeasesTest, SharedLimitsHoldWhileGatewaysJoinAndLeave) {
    test::SeededRandom random(13);
    SCOPED_TRACE(random.replay());
    std::size_t num_admitted = 0;
    std::size_t num_joined = 0;
    for (const int num_gateways : {1, 4}) {
        for (int round = 0; round < 40; ++round) {
            store_.reset();
            std::filesystem::remove_all(dir_);
            std::filesystem::create_directory(dir_);
            open();
            std::vector<Gateway> gateways(static_cast<std::size_t>(num_gateways));
            Limits limits;
            limits.requests_per_minute = random.between(40, 600);
            std::vector<Admitted> admitted;
            bool is_away = false;
            for (std::size_t i = 0; i < gateways.size(); ++i) {
                gateways[i].id = std::to_string(num_gateways) + "-" + std::to_string(round) + "-" +
                                 std::to_string(i);
                restart(gateways[i]);
            }
            for (int step = 0; step < 1500; ++step) {
                advance(std::chrono::milliseconds(random.between(0, 400)));
                if (random.between(0, 199) == 0) is_away = !is_away;
                const auto last = static_cast<std::int64_t>(gateways.size()) - 1;
                // The later ones come into being one after the other.
                const auto alive = std::min<std::int64_t>(last, step / 300);
                Gateway& gateway = gateways[static_cast<std::size_t>(random.between(0, alive))];
                if (random.between(0, 3) == 0) {
                    exchange(gateway, random, is_away ? 100 : 20);
                    std::int64_t total_ppm = 0;
                    for (const Gateway& each : gateways) total_ppm += each.desk->share().ppm;
                    ASSERT_LE(total_ppm, controlplane::kWholeShare);
                    continue;
                }
                const LimitsShare share = gateway.desk->share();
                if (share.ppm == 0) continue;  // requests wait for one
                num_joined += share.gained_ppm > 0 && admitted.size() % 64 == 0 ? 1 : 0;
                LimitRequest request;
                request.key = "key";
                request.model = "model";
                request.key_limits = limits;
                request.share = share;
                const Nanos time = gateway.desk->now();
                if (gateway.account->admit(request, time).ticket) admitted.push_back({time});
            }
            const std::int64_t limit = *limits.requests_per_minute;
            ASSERT_TRUE(is_within(admitted, limit, limit))
                << num_gateways << " gateways, round " << round << ", limit " << limit;
            num_admitted += admitted.size();
        }
    }
    EXPECT_GT(num_admitted, 10'000U);
    EXPECT_GT(num_joined, 100U);
}

}  // namespace
}  // namespace turnpike::gateway
