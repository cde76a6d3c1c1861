// Account: one organisation's limits, its keys' and its models'.
#include "gateway/policy/account.h"

#include <gtest/gtest.h>

namespace turnpike::gateway {
namespace {

LimitRequest request_of(const std::string& key, const std::string& model) {
    LimitRequest request;
    request.key = key;
    request.model = model;
    request.organisation_limits.requests_per_minute = 3;
    request.key_limits.requests_per_minute = 2;
    request.num_tokens = 10;
    return request;
}

TEST(AccountTest, KeysOfAnOrganisationShareItsLimitAndHaveTheirOwn) {
    AccountTable table;
    AccountReader reader(table);
    Account& account = reader.find(OrgId("a"));
    EXPECT_EQ(&account, &table.find(OrgId("a")));
    EXPECT_NE(&account, &reader.find(OrgId("b")));
    EXPECT_TRUE(account.admit(request_of("k1", "m"), 0).ticket.has_value());
    EXPECT_TRUE(account.admit(request_of("k1", "m"), 0).ticket.has_value());
    const LimitDecision third = account.admit(request_of("k1", "m"), 0);
    ASSERT_TRUE(third.refusal.has_value());
    EXPECT_FALSE(third.ticket.has_value());
    EXPECT_EQ(third.refusal->scope, "key");
    EXPECT_TRUE(account.admit(request_of("k2", "m"), 0).ticket.has_value());
    const LimitDecision fifth = account.admit(request_of("k2", "m"), 0);
    ASSERT_TRUE(fifth.refusal.has_value());
    EXPECT_EQ(fifth.refusal->scope, "organisation");
    EXPECT_EQ(account.num_in_flight(0), 3);
}

TEST(AccountTest, ModelLimitsArePerName) {
    Account account;
    LimitRequest request = request_of("k", "m");
    request.key_limits = {};
    request.model_limits.concurrent_requests = 1;
    LimitDecision first = account.admit(request, 0);
    ASSERT_TRUE(first.ticket.has_value());
    EXPECT_EQ(account.admit(request, 0).refusal->kind, LimitKind::kConcurrency);
    request.model = "n";
    EXPECT_TRUE(account.admit(request, 0).ticket.has_value());
    account.settle(*first.ticket, 10, false, 0);
    request.model = "m";
    EXPECT_TRUE(account.admit(request, 0).ticket.has_value());
}

TEST(AccountTest, TenThousandCancelsLeaveNoSlot) {
    Account account;
    LimitRequest request;
    request.organisation_limits.concurrent_requests = 1;
    for (int i = 0; i < 10'000; ++i) {
        LimitDecision decision = account.admit(request, 0);
        ASSERT_TRUE(decision.ticket.has_value()) << i;
        account.settle(*decision.ticket, 0, i % 2 == 0, 0);
    }
    EXPECT_EQ(account.num_in_flight(0), 0);
}

TEST(AccountTest, LimitsThatChangeInTheMeantimeUnbalanceNothing) {
    Account account;
    LimitRequest request;
    LimitDecision before = account.admit(request, 0);  // nothing is limited yet
    request.organisation_limits.tokens_per_minute = 100;
    request.num_tokens = 100;
    ASSERT_TRUE(account.admit(request, 0).ticket.has_value());
    account.settle(*before.ticket, 0, true, 0);
    EXPECT_TRUE(account.admit(request, 0).refusal.has_value());
}

}  // namespace
}  // namespace turnpike::gateway
