// Invoices: from the month's events alone, exact, rounded once.
#include "controlplane/store/csv.h"
#include "controlplane/store/invoice.h"
#include "controlplane/store/prices.h"
#include "controlplane/store/usage_groups.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

class Billing : public StoreFixture {
  protected:
    Billing()
        : org_(make_org("acme").id),
          other_(make_org("globex").id),
          first_(make_name(make_endpoint(org_, "acme/pool").id, "name", price_of(3000, 7000))
                     .price.version) {
        Price cheaper = price_of(300, 700);
        cheaper.cached_input_nano_usd = NanoUsd(30);
        second_ = set_price(*store_, "name", cheaper, now(), now()).value().price.version;
    }

    void ingest(UsageRecord record) {
        ASSERT_TRUE(store_->ingest_and_wait({"o", 0, {std::move(record)}}).has_value());
    }

    // Two prices, two organisations, cached tokens, a write-off, a refusal and two months.
    void fill() {
        ingest(make_record(org_, first_, 1200, 23000));
        for (int i = 0; i < 3; ++i) {
            UsageRecord record = make_record(org_, second_, 100, 7);
            record.usage.cached_tokens = 64;
            ingest(record);
        }
        UsageRecord lost = make_record(org_, second_, 10, 10);
        lost.outcome = Outcome::kReplicaFailed;
        ingest(lost);
        UsageRecord refused = make_record(org_, 0, 0, 0);
        refused.outcome = Outcome::kRefused;
        ingest(refused);
        ingest(make_record(other_, first_, 5, 5));
        clock_.wall_us += std::int64_t{86'400} * 30 * 1'000'000;
        ingest(make_record(org_, first_, 1, 1));
    }

    Invoice invoice() { return make_invoice(*store_, org_, "2026-11", now()).value(); }

    OrgId org_;
    OrgId other_;
    std::int64_t first_ = 0;
    std::int64_t second_ = 0;
};

TEST_F(Billing, AnInvoiceHasALineForEachPriceVersion) {
    fill();
    const Invoice made = invoice();
    ASSERT_EQ(made.lines.size(), 2U);
    EXPECT_EQ(made.lines[0].total_nano_usd, NanoUsd(164'600'000));
    const InvoiceLine& cheap = made.lines[1];
    EXPECT_EQ(cheap.num_requests, 3);
    EXPECT_EQ(cheap.input_nano_usd, NanoUsd(3 * 36 * 300));
    EXPECT_EQ(cheap.cached_nano_usd, NanoUsd(3 * 64 * 30));
    EXPECT_EQ(cheap.output_nano_usd, NanoUsd(3 * 7 * 700));
    EXPECT_EQ(made.num_written_off, 1);
    EXPECT_EQ(made.written_off_nano_usd, NanoUsd(10'000));
    EXPECT_EQ(made.due_cents, 16);
    EXPECT_TRUE(made.is_final);
}

// By other means than the program's: SQL on the month's file alone.
TEST_F(Billing, AnInvoiceIsReproducibleFromTheEventsAlone) {
    fill();
    const Invoice made = invoice();
    auto file = Database::open(dir_ + "/usage-2026-11.db", Database::Access::kRead).value();
    Statement rows = file->prepare(
        "SELECT price_version, count(*), sum(prompt_tokens), sum(completion_tokens), "
        "sum(cost_nano_usd) FROM events WHERE org = ? AND is_billed = 1 AND outcome <> 'refused' "
        "GROUP BY price_version "
        "ORDER BY price_version");
    rows.bind(org_.value());
    NanoUsd total;
    for (const InvoiceLine& line : made.lines) {
        ASSERT_TRUE(rows.step());
        EXPECT_EQ(line.price.version, rows.integer(0));
        EXPECT_EQ(line.num_requests, rows.integer(1));
        EXPECT_EQ(line.usage.prompt_tokens, rows.integer(2));
        EXPECT_EQ(line.usage.completion_tokens, rows.integer(3));
        EXPECT_EQ(line.total_nano_usd, rows.money(4));
        total = total + rows.money(4);
    }
    EXPECT_FALSE(rows.step());
    EXPECT_EQ(made.total_nano_usd, total);
}

TEST_F(Billing, AnInvoiceIsTheSameWhateverIsSetLater) {
    fill();
    const std::string before = write_csv(invoice());
    ASSERT_TRUE(set_price(*store_, "name", price_of(9, 9), now(), now()).has_value());
    open();
    EXPECT_EQ(write_csv(invoice()), before);
}

TEST_F(Billing, AMonthWithoutUsageIsEmptyAndNoMonthIsRefused) {
    EXPECT_TRUE(make_invoice(*store_, org_, "2025-01", now()).value().lines.empty());
    EXPECT_FALSE(make_invoice(*store_, org_, "2026-11", now()).value().is_final);
    for (const char* month : {"", "2026", "2026-13", "2026-00", "2026-1-", "11-2026", "2026/11"}) {
        EXPECT_EQ(make_invoice(*store_, org_, month, now()).error().param, "month") << month;
    }
    EXPECT_EQ(make_invoice(*store_, OrgId("org_x"), "2026-11", now()).error().code,
              ErrorCode::kNotFound);
}

TEST_F(Billing, AnEventThatDoesNotFitItsPriceIsNotInvoiced) {
    fill();
    store_.reset();
    auto file = Database::open(dir_ + "/usage-2026-11.db", Database::Access::kWrite).value();
    ASSERT_TRUE(file->execute("DROP TRIGGER events_are_immutable; UPDATE events SET cost_nano_usd "
                              "= cost_nano_usd + 1 WHERE sequence = 2")
                    .has_value());
    file.reset();
    open();
    EXPECT_EQ(make_invoice(*store_, org_, "2026-11", now()).error().code, ErrorCode::kCorrupt);
}

TEST_F(Billing, CentsAreRoundedOnceHalfUp) {
    EXPECT_EQ(round_to_cents(NanoUsd(4'999'999)), 0);
    EXPECT_EQ(round_to_cents(NanoUsd(5'000'000)), 1);
    EXPECT_EQ(round_to_cents(NanoUsd(15'000'000)), 2);
    EXPECT_EQ(round_to_cents(NanoUsd(-5'000'000)), 0);
    EXPECT_EQ(round_to_cents(NanoUsd(-5'000'001)), -1);
}

TEST_F(Billing, GroupsFollowTimeAndOrganisation) {
    fill();
    constexpr std::int64_t kDayUs = std::int64_t{86'400} * 1'000'000;
    const UsageRange range{org_, 0, clock_.wall_us + 1, kDayUs};
    const auto groups = group_usage(*store_, range).value();
    ASSERT_EQ(groups.size(), 4U);
    EXPECT_EQ(groups.front().bucket_at_us % kDayUs, 0);
    EXPECT_EQ(groups.back().bucket_at_us - groups.front().bucket_at_us, 30 * kDayUs);
    UsageRange none = range;
    none.to_at_us = groups.front().bucket_at_us;
    EXPECT_TRUE(group_usage(*store_, none).value().empty());
}

TEST(Csv, QuotesWhatNeedsItAndDefusesFormulas) {
    EXPECT_EQ(csv_row({"", "a,b", "say \"x\"", "=1+1", "-0.5", "-x"}),
              ",\"a,b\",\"say \"\"x\"\"\",'=1+1,-0.5,'-x\r\n");
}

}  // namespace
}  // namespace turnpike::controlplane
