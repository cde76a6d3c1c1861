// Requests in parallel against credit for exactly K: what is admitted and what is spent stays
// within the stated bound under any interleaving, money is conserved at every step, and nothing
// leaks.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include "gateway/policy/holds.h"
#include "tests/support/random.h"

namespace turnpike::gateway {
namespace {

constexpr int kInterleavings = 1000;
constexpr Nanos kNever = INT64_MAX;

HoldTerms any_terms(test::SeededRandom& random) {
    HoldTerms terms;
    terms.price.input_nano_usd = NanoUsd(random.between(0, 3000));
    terms.price.cached_input_nano_usd = NanoUsd(random.between(0, 1000));
    terms.price.output_nano_usd = NanoUsd(random.between(1, 7000));
    terms.max_output_tokens = random.between(1, 3 * kHoldTokens);
    return terms;
}

// What one request does: begin, meter lines, an overshoot after a stop, and an end.
struct Request {
    Request(CreditLease& lease, CreditLease* key, const HoldTerms& terms, TokenCount prompt_tokens)
        : hold(lease, key, terms), prompt(prompt_tokens) {}

    Hold hold;
    TokenCount prompt;
    TokenUsage usage;
    bool has_begun = false;
    bool is_over = false;
};

class Interleaving {
  public:
    Interleaving(test::SeededRandom& random, int num_requests, int num_affordable)
        : random_(random), terms_(any_terms(random)), prompt_(random.between(0, 5000)) {
        // Known exactly, so that no estimate blurs the count.
        Hold probe(probe_, nullptr, terms_);
        probe_.grant(NanoUsd(INT64_MAX / 4), kNever);
        probe.begin(prompt_, 0);
        each_ = probe.amount();
        probe.settle(NanoUsd());
        credit_ = multiply(each_, num_affordable);
        lease_.grant(credit_, kNever);
        if (random.between(0, 1) == 0) {
            key_.grant(credit_, kNever);
            has_key_ = true;
        }
        for (int i = 0; i < num_requests; ++i) {
            requests_.push_back(
                std::make_unique<Request>(lease_, has_key_ ? &key_ : nullptr, terms_, prompt_));
        }
    }

    // All arrive before any ends.
    void arrive() {
        for (const auto& request : requests_) {
            request->has_begun = request->hold.begin(prompt_, 0);
            request->is_over = !request->has_begun;
            num_admitted_ += request->has_begun ? 1 : 0;
            request->usage.prompt_tokens = request->has_begun ? prompt_ : 0;
            check();
        }
    }

    void run() {
        for (;;) {
            std::vector<Request*> alive;
            for (const auto& request : requests_) {
                if (!request->is_over) alive.push_back(request.get());
            }
            if (alive.empty()) return;
            const auto count = static_cast<std::int64_t>(alive.size());
            step(*alive[static_cast<std::size_t>(random_.between(0, count - 1))]);
            check();
        }
    }

    int num_admitted() const { return num_admitted_; }

    int num_top_ups() const { return num_top_ups_; }

    int num_exhausted() const { return num_exhausted_; }

    void check_end() const {
        EXPECT_EQ(lease_.held(), NanoUsd());
        EXPECT_EQ(lease_.spent(), true_cost_);
        EXPECT_LE(lease_.spent(), credit_);
        EXPECT_EQ(key_.held(), NanoUsd());
        if (has_key_) {
            EXPECT_EQ(key_.spent(), true_cost_);
        }
    }

  private:
    void check() const {
        NanoUsd held;
        for (const auto& request : requests_) held = held + request->hold.amount();
        ASSERT_EQ(held, lease_.held());
        ASSERT_GE(lease_.free(), NanoUsd());
        ASSERT_EQ(lease_.spent() + lease_.held() + lease_.free(), credit_);
    }

    void step(Request& request) {
        const std::int64_t kind = random_.between(0, 19);
        if (kind == 0) return end(request, /*is_billed=*/true);   // the client goes
        if (kind == 1) return end(request, /*is_billed=*/false);  // a crash of ours
        const std::int64_t num_lines = random_.between(1, 400);
        for (std::int64_t i = 0; i < num_lines && !request.is_over; ++i) meter(request);
    }

    // Meter lines come at least every few steps of the engine.
    void meter(Request& request) {
        if (left_of(request) == 0) return end(request, /*is_billed=*/true);
        produce(request, random_.between(1, kStopMarginTokens / 2));
        const NanoUsd before = request.hold.amount();
        const Hold::State state = request.hold.on_meter(request.usage, 0);
        num_top_ups_ += request.hold.amount() > before ? 1 : 0;
        if (state != Hold::State::kExhausted) return;
        ++num_exhausted_;
        // The engine stops within its steps in flight.
        produce(request, random_.between(0, kStopMarginTokens / 2));
        end(request, /*is_billed=*/true);
    }

    TokenCount left_of(const Request& request) const {
        return terms_.max_output_tokens - request.usage.completion_tokens;
    }

    void produce(Request& request, TokenCount num_tokens) {
        request.usage.completion_tokens += std::min(left_of(request), num_tokens);
    }

    void end(Request& request, bool is_billed) {
        const NanoUsd cost = is_billed ? cost_of(terms_.price, request.usage) : NanoUsd();
        EXPECT_LE(cost, request.hold.amount());
        true_cost_ = true_cost_ + cost;
        request.hold.settle(cost);
        request.is_over = true;
    }

    test::SeededRandom& random_;
    HoldTerms terms_;
    TokenCount prompt_;
    CreditLease probe_;
    CreditLease lease_;
    CreditLease key_;
    NanoUsd each_;
    NanoUsd credit_;
    NanoUsd true_cost_;
    bool has_key_ = false;
    int num_admitted_ = 0;
    int num_top_ups_ = 0;
    int num_exhausted_ = 0;
    std::vector<std::unique_ptr<Request>> requests_;
};

TEST(GatewayHoldsTest, CreditForExactlyKAdmitsKAndNeverSpendsMore) {
    test::SeededRandom random(7);
    SCOPED_TRACE(random.replay());
    int num_top_ups = 0;
    int num_exhausted = 0;
    for (int i = 0; i < kInterleavings; ++i) {
        const int num_affordable = static_cast<int>(random.between(0, 12));
        const int num_requests = static_cast<int>(random.between(1, 16));
        Interleaving interleaving(random, num_requests, num_affordable);
        interleaving.arrive();
        ASSERT_EQ(interleaving.num_admitted(), std::min(num_requests, num_affordable));
        interleaving.run();
        interleaving.check_end();
        ASSERT_FALSE(HasFailure()) << "interleaving " << i;
        num_top_ups += interleaving.num_top_ups();
        num_exhausted += interleaving.num_exhausted();
    }
    EXPECT_GT(num_top_ups, 1000);
    EXPECT_GT(num_exhausted, 100);
}

TEST(GatewayHoldsTest, TenThousandCancelsLeaveNothingHeld) {
    test::SeededRandom random(8);
    SCOPED_TRACE(random.replay());
    CreditLease lease;
    lease.grant(NanoUsd(INT64_MAX / 4), kNever);
    std::deque<std::unique_ptr<Hold>> open;
    for (int i = 0; i < 10'000; ++i) {
        open.push_back(std::make_unique<Hold>(lease, nullptr, any_terms(random)));
        ASSERT_TRUE(open.back()->begin(random.between(0, 1000), 0));
        if (random.between(0, 2) == 0) continue;
        open.front()->settle(NanoUsd());
        open.pop_front();
    }
    for (const auto& hold : open) hold->settle(NanoUsd());
    EXPECT_EQ(lease.held(), NanoUsd());
    EXPECT_EQ(lease.spent(), NanoUsd());
}

}  // namespace
}  // namespace turnpike::gateway
