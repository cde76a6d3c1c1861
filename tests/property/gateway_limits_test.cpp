// A limiter never admits more than burst + rate * window over any window, whatever the order of
// requests, corrections, settlements and clock steps, with one gateway and with several; a refused
// request changes nothing; nothing leaks.
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <vector>

#include "gateway/policy/limit_headers.h"
#include "gateway/policy/limit_meter.h"
#include "tests/support/random.h"

namespace turnpike::gateway {
namespace {

using controlplane::Limits;

constexpr Nanos kSecond = 1'000'000'000;

struct Spent {
    Nanos at = 0;
    std::int64_t amount = 0;
};

// Whether some window holds more than `burst` + rate * window. Kadane's bound over pairs, as an
// offline leaky bucket: the largest sum of (amount - drained) over any run of entries.
bool is_within(const std::vector<Spent>& spent, std::int64_t limit, std::int64_t burst) {
    __extension__ using Wide = __int128;
    Wide level = 0;
    Nanos last = 0;
    for (const Spent& entry : spent) {
        level -= static_cast<Wide>(entry.at - last) * limit;
        if (level < 0) level = 0;
        last = entry.at;
        level += static_cast<Wide>(entry.amount) * kNanosPerMinute;
        if (level > static_cast<Wide>(burst) * kNanosPerMinute) return false;
    }
    return true;
}

class World {
  public:
    explicit World(test::SeededRandom& random) : random_(random) {
        scopes_[0] = {&key_, any_limits(), "key"};
        scopes_[1] = {&org_, any_limits(), "organisation"};
    }

    void step() {
        now_ += random_.between(0, 19) == 0 ? random_.between(0, 30 * kSecond)
                                            : random_.between(0, kSecond / 10);
        // The meters see a clock that steps back now and then; the world's own only goes on.
        if (random_.between(0, 49) == 0) offset_ += random_.between(0, 5 * kSecond);
        const Nanos seen = now_ - offset_;
        if (random_.between(0, 9) < 6) return request(seen);
        if (!open_.empty()) finish(seen);
    }

    void check() const {
        for (const LimitScope& scope : scopes_) {
            if (scope.limits.requests_per_minute) {
                const std::int64_t limit = *scope.limits.requests_per_minute;
                EXPECT_TRUE(is_within(requests_, limit, limit));
            }
            if (scope.limits.tokens_per_minute) {
                const std::int64_t limit = *scope.limits.tokens_per_minute;
                EXPECT_TRUE(is_within(tokens_, limit, limit));
            }
        }
    }

    void finish_all() {
        while (!open_.empty()) finish(now_ - offset_);
        EXPECT_EQ(key_.slots.count(now_ - offset_), 0);
        EXPECT_EQ(org_.slots.count(now_ - offset_), 0);
    }

  private:
    struct Open {
        LimitCharge charge;
        std::size_t token_index = 0;
    };

    Limits any_limits() {
        Limits limits;
        if (random_.between(0, 3) != 0) limits.requests_per_minute = random_.between(5, 300);
        if (random_.between(0, 3) != 0) limits.tokens_per_minute = random_.between(100, 2000);
        if (random_.between(0, 3) != 0) limits.concurrent_requests = random_.between(1, 20);
        return limits;
    }

    std::string headers(Nanos now) const { return limit_lines(view_limits(scopes_, now)); }

    void request(Nanos seen) {
        const std::int64_t estimate = random_.between(0, 99);
        const std::string before = headers(seen);
        if (const auto refusal = check_limits(scopes_, estimate, seen)) {
            EXPECT_EQ(headers(seen), before);
            EXPECT_GT(refusal->retry_after, 0);
            if (refusal->kind == LimitKind::kConcurrency) return;
            // Exact: not a nanosecond earlier would it fit, and then it does, but for the slots.
            EXPECT_TRUE(check_limits(scopes_, estimate, seen + refusal->retry_after - 1));
            const auto later = check_limits(scopes_, estimate, seen + refusal->retry_after);
            EXPECT_TRUE(!later || later->kind == LimitKind::kConcurrency);
            return;
        }
        Open open;
        open.charge = {next_id_++, estimate, seen};
        charge(scopes_, open.charge);
        for (const LimitScope& scope : scopes_) {
            if (scope.limits.concurrent_requests) {
                EXPECT_LE(scope.meter->slots.count(seen), *scope.limits.concurrent_requests);
            }
        }
        requests_.push_back({now_, 1});
        open.token_index = tokens_.size();
        tokens_.push_back({now_, estimate});
        open_.push_back(open);
    }

    // The truth is at most the estimate here: an excess is a debt, which the unit test covers.
    void finish(Nanos seen) {
        Open open = open_.front();
        open_.pop_front();
        // All or nothing, mostly: a correction that gives too much back shows best then.
        const std::int64_t estimate = open.charge.num_tokens;
        const std::int64_t kind = random_.between(0, 4);
        const std::int64_t truth = kind == 0  ? random_.between(0, estimate)
                                   : kind < 3 ? 0
                                              : estimate;
        if (random_.between(0, 1) == 0) correct(scopes_, open.charge, truth, seen);
        const bool is_refused = random_.between(0, 4) == 0;
        settle(scopes_, open.charge, truth, is_refused, seen);
        tokens_[open.token_index].amount = truth;
        if (is_refused) requests_[open.token_index].amount = 0;
    }

    test::SeededRandom& random_;
    LimitMeter key_;
    LimitMeter org_;
    std::array<LimitScope, 2> scopes_;
    Nanos now_ = 100 * kSecond;
    Nanos offset_ = 0;
    std::uint64_t next_id_ = 1;
    std::deque<Open> open_;
    std::vector<Spent> requests_;
    std::vector<Spent> tokens_;
};

TEST(GatewayLimitsTest, NoWindowHoldsMoreThanBurstAndRate) {
    test::SeededRandom random(20261126);
    SCOPED_TRACE(random.replay());
    for (int round = 0; round < 300; ++round) {
        World world(random);
        for (int i = 0; i < 400; ++i) world.step();
        world.check();
        world.finish_all();
        world.check();
        if (HasFailure()) return;
    }
}

// Several gateways, each with its part: the sum stays within the whole limit.
TEST(GatewayLimitsTest, SharesOfSeveralGatewaysAddUp) {
    test::SeededRandom random(4);
    SCOPED_TRACE(random.replay());
    for (const int num_gateways : {1, 4}) {
        for (int round = 0; round < 100; ++round) {
            Limits whole;
            whole.requests_per_minute = random.between(num_gateways, 600);
            const Limits share = share_of(whole, 1'000'000 / num_gateways);
            std::vector<LimitMeter> meters(static_cast<std::size_t>(num_gateways));
            std::vector<Spent> admitted;
            Nanos now = 0;
            for (int i = 0; i < 2000; ++i) {
                now += random.between(0, kSecond / 4);
                auto& meter = meters[static_cast<std::size_t>(random.between(0, num_gateways - 1))];
                const std::array<LimitScope, 1> scopes{LimitScope{&meter, share, "key"}};
                if (check_limits(scopes, 1, now)) continue;
                charge(scopes, {static_cast<std::uint64_t>(i), 1, now});
                admitted.push_back({now, 1});
            }
            const std::int64_t limit = *whole.requests_per_minute;
            ASSERT_TRUE(is_within(admitted, limit, limit));
        }
    }
}

}  // namespace
}  // namespace turnpike::gateway
