// Usage: durable, once, priced by the version it names, posted to the ledger to the nano-dollar.
#include <algorithm>

#include "controlplane/store/quarantine.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

class Usage : public StoreFixture {
  protected:
    Usage()
        : org_(make_org("acme").id),
          price_(make_name(make_endpoint(org_, "acme/pool").id, "name", price_of(3000, 7000))
                     .price.version) {
        CHECK(add_credit(*store_, {org_, NanoUsd(20'000'000'000), "start", "k"}, now()));
    }

    BillingStatement statement() {
        EXPECT_TRUE(store_->wait_until_posted().has_value());
        auto billing = billing_statement(*store_, std::nullopt).value();
        EXPECT_TRUE(billing.agrees);
        EXPECT_EQ(billing.ledger_sum_nano_usd, NanoUsd());
        EXPECT_EQ(billing.num_unposted, 0);
        return billing;
    }

    OrgId org_;
    std::int64_t price_;
};

TEST_F(Usage, IsChargedExactlyAndOnce) {
    const UsageBatch batch{"o", 0, {make_record(org_, price_, 1200, 23000)}};
    EXPECT_EQ(store_->ingest_and_wait(batch).value().num_new, 1);
    EXPECT_EQ(store_->ingest_and_wait(batch).value().num_repeated, 1);
    const BillingStatement billing = statement();
    ASSERT_EQ(billing.rows.size(), 1U);
    EXPECT_EQ(billing.rows[0].charged_nano_usd, NanoUsd(164'600'000));
    EXPECT_EQ(billing.rows[0].balance_nano_usd, NanoUsd(20'000'000'000 - 164'600'000));
    EXPECT_EQ(billing.rows[0].num_requests, 1);
    EXPECT_EQ(billing.usage_cost_nano_usd, NanoUsd(164'600'000));
}

TEST_F(Usage, ARecordTwiceInOneBatchCountsOnce) {
    const UsageRecord record = make_record(org_, price_, 10, 10);
    const auto result = store_->ingest_and_wait({"o", 0, {record, record}}).value();
    EXPECT_EQ(result.num_new, 1);
    EXPECT_EQ(result.num_repeated, 1);
    EXPECT_EQ(statement().usage_cost_nano_usd, NanoUsd(100'000));
}

TEST_F(Usage, WrittenOffIsItemisedAndMovesNoMoney) {
    UsageRecord record = make_record(org_, price_, 100, 10);
    record.outcome = Outcome::kGatewayFailed;
    ASSERT_TRUE(store_->ingest_and_wait({"o", 0, {record}}).has_value());
    const BillingStatement billing = statement();
    EXPECT_EQ(billing.rows[0].charged_nano_usd, NanoUsd());
    EXPECT_EQ(billing.rows[0].written_off.prompt_tokens, 100);
    EXPECT_EQ(billing.rows[0].num_written_off, 1);
    const UsageListing listing = list_usage(*store_, org_, 10).value();
    ASSERT_EQ(listing.rows.size(), 1U);
    EXPECT_EQ(listing.rows[0].cost_nano_usd, NanoUsd());
    EXPECT_EQ(listing.rows[0].written_off_nano_usd, NanoUsd(370'000));
    EXPECT_EQ(listing.totals.num_written_off, 1);
}

TEST_F(Usage, KeepsThePriceItWasAdmittedUnder) {
    const EndpointId endpoint = list_endpoints(*store_, org_).value()[0].id;
    const ModelRow dearer = make_name(endpoint, "name", price_of(30000, 70000));
    EXPECT_NE(dearer.price.version, price_);
    ASSERT_TRUE(store_->ingest_and_wait({"o", 0, {make_record(org_, price_, 1, 1)}}).has_value());
    EXPECT_EQ(statement().usage_cost_nano_usd, NanoUsd(10'000));
}

TEST_F(Usage, GoesToTheMonthOfItsRequestId) {
    clock_.wall_us = 1'796'083'199'999'000;  // 2026-11-30T23:59:59.999Z
    const UsageRecord before = make_record(org_, price_, 1, 0);
    clock_.wall_us += 1000;
    const UsageRecord after = make_record(org_, price_, 2, 0);
    ASSERT_TRUE(store_->ingest_and_wait({"o", 0, {before, after}}).has_value());
    EXPECT_TRUE(std::filesystem::exists(dir_ + "/usage-2026-11.db"));
    EXPECT_TRUE(std::filesystem::exists(dir_ + "/usage-2026-12.db"));
    EXPECT_EQ(statement().usage_cost_nano_usd, NanoUsd(9'000));
    const UsageListing listing = list_usage(*store_, std::nullopt, 10).value();
    ASSERT_EQ(listing.rows.size(), 2U);
    EXPECT_EQ(listing.rows[0].record.request_id, after.request_id);
    const auto rollups = list_rollups(*store_, org_).value();
    ASSERT_EQ(rollups.size(), 2U);
    EXPECT_EQ(rollups[0].day, "2026-11-30");
    EXPECT_EQ(rollups[1].day, "2026-12-01");
}

TEST_F(Usage, WhatItCannotPriceOrPlaceIsKeptAsideAndHoldsUpNothing) {
    const UsageRecord good = make_record(org_, price_, 1, 1);
    const UsageRecord unpriced = make_record(org_, 999, 1, 1);
    const UsageRecord unowned = make_record(OrgId("org_none"), price_, 1, 1);
    UsageRecord nonsense = good;
    nonsense.request_id = RequestId("nonsense");
    UsageRecord future = good;
    future.request_id = crypto::new_request_id(now() + std::chrono::hours(24 * 90));
    const UsageBatch batch{"o", 0, {unpriced, unowned, good, nonsense, future}};
    for (int i = 0; i < 2; ++i) {
        const auto result = store_->ingest_and_wait(batch);
        ASSERT_TRUE(result.has_value()) << result.error().message;
        EXPECT_EQ(result->num_quarantined, 4);
        EXPECT_EQ(result->num_new, i == 0 ? 1 : 0);
    }
    EXPECT_EQ(statement().usage_cost_nano_usd, NanoUsd(10'000));
    const auto aside = list_quarantine(*store_, 10).value();
    ASSERT_EQ(aside.size(), 4U);
    const auto found = std::find_if(aside.begin(), aside.end(), [&](const auto& one) {
        return one.record.request_id == unpriced.request_id;
    });
    ASSERT_NE(found, aside.end());
    EXPECT_EQ(write_usage_record(found->record), write_usage_record(unpriced));
    EXPECT_EQ(found->reason, "no price version 999");
    EXPECT_EQ(count_quarantine(*store_).value(), 4);
}

TEST_F(Usage, ARecordLeavesTheQuarantineOnceItCanBePriced) {
    const UsageRecord unpriced = make_record(org_, 999, 1, 1);
    ASSERT_TRUE(store_->ingest_and_wait({"o", 0, {unpriced}}).has_value());
    const RequestId id = unpriced.request_id;
    EXPECT_EQ(release_from_quarantine(*store_, id, std::nullopt, now()).error().code,
              ErrorCode::kConflict);
    EXPECT_EQ(count_quarantine(*store_).value(), 1);
    ASSERT_TRUE(release_from_quarantine(*store_, id, price_, now()).has_value());
    EXPECT_EQ(count_quarantine(*store_).value(), 0);
    EXPECT_EQ(statement().usage_cost_nano_usd, NanoUsd(10'000));
    EXPECT_EQ(release_from_quarantine(*store_, id, price_, now()).error().code,
              ErrorCode::kNotFound);
}

TEST_F(Usage, SurvivesReopening) {
    ASSERT_TRUE(store_->ingest_and_wait({"o", 0, {make_record(org_, price_, 1, 1)}}).has_value());
    open();
    EXPECT_EQ(statement().usage_cost_nano_usd, NanoUsd(10'000));
}

TEST_F(Usage, ListsNewestFirstUpToTheLimitWithTotalsOfAll) {
    for (int i = 0; i < 5; ++i) {
        clock_.wall_us += 1'000'000;
        ASSERT_TRUE(
            store_->ingest_and_wait({"o", i, {make_record(org_, price_, i, 0)}}).has_value());
    }
    const UsageListing listing = list_usage(*store_, org_, 2).value();
    ASSERT_EQ(listing.rows.size(), 2U);
    EXPECT_EQ(listing.rows[0].record.usage.prompt_tokens, 4);
    EXPECT_EQ(listing.totals.billed.prompt_tokens, 10);
    EXPECT_EQ(listing.totals.num_requests, 5);
    EXPECT_TRUE(list_usage(*store_, OrgId("org_other"), 2).value().rows.empty());
}

TEST_F(Usage, CreditIsIdempotentByItsKey) {
    const Credit credit{org_, NanoUsd(5), "", "once"};
    const auto first = add_credit(*store_, credit, now()).value();
    const auto second = add_credit(*store_, credit, now()).value();
    EXPECT_EQ(first.transaction, second.transaction);
    EXPECT_EQ(second.balance_nano_usd, NanoUsd(20'000'000'005));
    EXPECT_EQ(add_credit(*store_, {org_, NanoUsd(6), "", "once"}, now()).error().code,
              ErrorCode::kConflict);
    EXPECT_EQ(add_credit(*store_, {OrgId("x"), NanoUsd(6), "", ""}, now()).error().code,
              ErrorCode::kNotFound);
    EXPECT_FALSE(add_credit(*store_, {org_, NanoUsd(), "", ""}, now()).has_value());
    EXPECT_EQ(statement().rows[0].credited_nano_usd, NanoUsd(20'000'000'005));
}

}  // namespace
}  // namespace turnpike::controlplane
