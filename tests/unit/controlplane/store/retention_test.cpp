// Retention: months whose requests are deleted leave sums that still add up; nothing that is not
// posted, being read or young goes; old operations and audit rows do.
#include "controlplane/store/retention.h"

#include <set>
#include <vector>

#include "controlplane/store/audit.h"
#include "controlplane/store/backup.h"
#include "controlplane/store/invoice.h"
#include "controlplane/store/ledger_chain.h"
#include "controlplane/store/migrate.h"
#include "controlplane/store/month.h"
#include "controlplane/store/quarantine.h"
#include "controlplane/store/reconcile.h"
#include "controlplane/store/replicas.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

constexpr std::int64_t kDayUs = 86'400'000'000;

class Retention : public StoreFixture {
  protected:
    Retention()
        : org_(make_org("acme").id),
          endpoint_(make_endpoint(org_, "acme/pool").id),
          price_(make_name(endpoint_, "name", price_of(3000, 7000)).price.version) {}

    // Two requests that are billed and one that is written off.
    std::vector<UsageRecord> deliver_three() {
        std::vector<UsageRecord> records;
        for (int i = 0; i < 3; ++i) records.push_back(make_record(org_, price_, 1, 1));
        for (UsageRecord& record : records) record.replica = ReplicaId("r-1");
        records[2].outcome = Outcome::kReplicaFailed;
        deliver(records);
        return records;
    }

    IngestResult deliver(const std::vector<UsageRecord>& records) {
        const auto result = store_->ingest_and_wait({"o", 0, records});
        EXPECT_TRUE(result.has_value()) << result.error().message;
        EXPECT_TRUE(store_->wait_until_posted().has_value());
        return *result;
    }

    void pass_days(int number) { clock_.wall_us += number * kDayUs; }

    Retained apply(const RetentionPolicy& policy) {
        const auto retained = apply_retention(*store_, policy, now());
        EXPECT_TRUE(retained.has_value()) << retained.error().message;
        return *retained;
    }

    std::set<std::string> usage_files() const {
        std::set<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(dir_)) {
            const std::string name = entry.path().filename().string();
            if (name.starts_with("usage-") && name.ends_with(".db")) names.insert(name);
        }
        return names;
    }

    void expect_books_fit() {
        EXPECT_TRUE(reconcile_books(*store_).value().misfits.empty());
        EXPECT_TRUE(billing_statement(*store_, std::nullopt).value().agrees);
    }

    OrgId org_;
    EndpointId endpoint_;
    std::int64_t price_;
};

TEST_F(Retention, MonthsAreCounted) {
    const WallTime january = begin_of_month("2026-01", 0) + std::chrono::hours(5);
    EXPECT_EQ(month_before(january, 0), "2026-01");
    EXPECT_EQ(month_before(january, 1), "2025-12");
    EXPECT_EQ(month_before(january, 13), "2024-12");
    EXPECT_EQ(format_rfc3339(begin_of_month("2025-12", 1)), "2026-01-01T00:00:00.000Z");
}

TEST_F(Retention, NothingIsDeletedUnlessItIsAsked) {
    deliver_three();
    pass_days(1000);
    const Retained retained = apply({});
    EXPECT_TRUE(retained.deleted_months.empty());
    EXPECT_EQ(retained.num_audit_rows + retained.num_operations + retained.num_steps, 0);
    EXPECT_EQ(usage_files().size(), 1u);
}

TEST_F(Retention, WholeMonthsGoAndTheirSumsStay) {
    deliver_three();  // 2026-11
    pass_days(30);
    deliver_three();  // 2026-12
    const auto books = reconcile_books(*store_).value();
    const auto usage = list_usage(*store_, org_, 100).value();
    const auto rollups = list_rollups(*store_, org_).value();
    // December and the month before it are kept.
    EXPECT_TRUE(apply({1, 0, 0}).deleted_months.empty());
    pass_days(30);  // 2027-01
    EXPECT_EQ(apply({1, 0, 0}).deleted_months, std::vector<std::string>{"2026-11"});
    EXPECT_EQ(usage_files(), std::set<std::string>{"usage-2026-12.db"});
    expect_books_fit();
    const auto after = reconcile_books(*store_).value();
    EXPECT_EQ(after.num_events, books.num_events);
    EXPECT_EQ(after.num_billed, books.num_billed);
    EXPECT_EQ(after.num_written_off, books.num_written_off);
    EXPECT_EQ(after.usage_cost_nano_usd, books.usage_cost_nano_usd);
    const ReplicaId replica("r-1");
    EXPECT_EQ(after.by_replica.at(replica).sum(), books.by_replica.at(replica).sum());
    const auto listing = list_usage(*store_, org_, 100).value();
    EXPECT_EQ(listing.rows.size(), 3u);
    EXPECT_EQ(listing.totals.num_requests, usage.totals.num_requests);
    EXPECT_EQ(listing.totals.written_off, usage.totals.written_off);
    EXPECT_EQ(listing.totals.cost_nano_usd, usage.totals.cost_nano_usd);
    EXPECT_EQ(list_rollups(*store_, org_).value().size(), rollups.size());
    const auto audit = list_audit(*store_, {{}, {}, 1}).value();
    EXPECT_EQ(audit.at(0).action, "usage.delete");
    EXPECT_EQ(audit.at(0).detail, "3 events that cost 0.00002 USD");
}

TEST_F(Retention, WhatAMonthWithoutRequestsCannotTellIsRefused) {
    deliver_three();
    pass_days(60);
    apply({1, 0, 0});
    EXPECT_EQ(make_invoice(*store_, org_, "2026-11", now()).error().param, "month");
    EXPECT_EQ(page_usage(*store_, org_, "2026-11", 0, 10).error().param, "month");
    EXPECT_TRUE(make_invoice(*store_, org_, "2026-10", now()).has_value());
}

// A gateway that was away for months delivers again: what the ledger has is a repetition, the rest
// is not billed unseen.
TEST_F(Retention, RecordsOfADeletedMonthCountOnce) {
    const auto records = deliver_three();
    const UsageRecord late = make_record(org_, price_, 1, 1);
    pass_days(60);
    apply({1, 0, 0});
    for (int i = 0; i < 2; ++i) {
        const IngestResult result = deliver({records[0], records[1], late});
        EXPECT_EQ(result.num_new, 0);
        EXPECT_EQ(result.num_repeated, 2);
        EXPECT_EQ(result.num_quarantined, 1);
        open();
    }
    EXPECT_TRUE(usage_files().empty());
    const auto aside = list_quarantine(*store_, 10).value();
    ASSERT_EQ(aside.size(), 1u);
    EXPECT_EQ(aside[0].record.request_id, late.request_id);
    EXPECT_NE(aside[0].reason.find("2026-11, was deleted"), std::string::npos);
    EXPECT_TRUE(billing_statement(*store_, std::nullopt).value().agrees);
}

TEST_F(Retention, AMonthThatIsReadStays) {
    deliver_three();
    pass_days(60);
    auto kept = store_->keep_months();
    EXPECT_EQ(apply({1, 0, 0}).months_left, std::vector<std::string>{"2026-11"});
    EXPECT_EQ(usage_files().size(), 1u);
    kept.reset();
    EXPECT_EQ(apply({1, 0, 0}).deleted_months.size(), 1u);
    EXPECT_TRUE(usage_files().empty());
}

TEST_F(Retention, AMonthThatIsNotPostedStays) {
    deliver_three();
    store_.reset();
    auto control = Database::open(dir_ + "/control.db", Database::Access::kWrite).value();
    // An account is gone, so that nothing more can be posted.
    ASSERT_TRUE(
        control
            ->execute("PRAGMA foreign_keys = OFF; DROP TRIGGER accounts_are_kept; DELETE FROM "
                      "accounts WHERE kind = 'revenue'")
            .has_value());
    control.reset();
    open();
    ASSERT_TRUE(store_->ingest_and_wait({"o", 0, {make_record(org_, price_, 1, 1)}}).has_value());
    EXPECT_FALSE(store_->wait_until_posted().has_value());
    pass_days(60);
    EXPECT_EQ(apply({1, 0, 0}).months_left, std::vector<std::string>{"2026-11"});
    EXPECT_EQ(usage_files().size(), 1u);
}

TEST_F(Retention, ADeletionThatWasCutOffIsEndedAtTheNextStart) {
    deliver_three();
    std::filesystem::copy_file(dir_ + "/usage-2026-11.db", dir_ + "/copy");
    pass_days(60);
    apply({1, 0, 0});
    store_.reset();
    std::filesystem::copy_file(dir_ + "/copy", dir_ + "/usage-2026-11.db");
    open();
    EXPECT_TRUE(usage_files().empty());
    expect_books_fit();
}

TEST_F(Retention, SumsThatAreNotTheLedgersShow) {
    deliver_three();
    pass_days(60);
    apply({1, 0, 0});
    store_.reset();
    auto control = Database::open(dir_ + "/control.db", Database::Access::kWrite).value();
    ASSERT_TRUE(control
                    ->execute("DROP TRIGGER retired_usage_is_immutable; UPDATE retired_usage SET "
                              "cost_nano_usd = cost_nano_usd - 1 WHERE is_billed = 1")
                    .has_value());
    control.reset();
    open();
    const auto misfits = reconcile_books(*store_).value().misfits;
    ASSERT_FALSE(misfits.empty());
    EXPECT_EQ(misfits[0].check, "event");
    EXPECT_NE(misfits[0].what.find("usage-2026-11.db was deleted"), std::string::npos);
    EXPECT_FALSE(billing_statement(*store_, std::nullopt).value().agrees);
}

TEST_F(Retention, ABackupOfWhatIsLeftVerifies) {
    deliver_three();
    pass_days(60);
    deliver_three();
    apply({1, 0, 0});
    ASSERT_TRUE(create_backup(*store_, dir_ + "/backup", now(), kWhole).has_value());
    const auto report = verify_backup(dir_ + "/backup").value();
    EXPECT_EQ(report.faults, std::vector<std::string>());
    EXPECT_EQ(report.books.num_events, 6);
}

TEST_F(Retention, FinishedOperationsAndStepsGo) {
    const auto old = begin_step(*store_, {0, endpoint_, "r-1", "start", {}, {}, ""}, now()).value();
    ASSERT_TRUE(finish_step(*store_, old, "done", now()).has_value());
    ASSERT_TRUE(begin_step(*store_, {0, endpoint_, "r-1", "drain", {}, {}, ""}, now()).has_value());
    ASSERT_TRUE(set_endpoint_state(*store_, endpoint_, EndpointState::kStarted, "", now()));
    EndpointChange change;
    change.display_name = "other";
    ASSERT_TRUE(update_endpoint(*store_, endpoint_, change, "operator", now()).has_value());
    pass_days(30);
    EXPECT_EQ(apply({0, 0, 30}).num_operations, 0);  // not yet a moment older
    clock_.wall_us += 1;
    const Retained retained = apply({0, 0, 30});
    EXPECT_EQ(retained.num_operations, 1);
    EXPECT_EQ(retained.num_steps, 1);
    // What is not finished stays, however old it is.
    const auto left = list_operations(*store_, endpoint_).value();
    ASSERT_EQ(left.size(), 1u);
    EXPECT_EQ(left[0].kind, "update");
    EXPECT_EQ(list_open_steps(*store_).value().size(), 1u);
}

TEST_F(Retention, OldAuditRowsAreCutAndTheLedgerIsNot) {
    deliver_three();
    pass_days(10);
    make_org("later");
    EXPECT_EQ(apply({0, 10, 0}).num_audit_rows, 0);
    pass_days(5);
    EXPECT_GT(apply({0, 10, 0}).num_audit_rows, 0);
    const auto rows = list_audit(*store_, {{}, {}, 100}).value();
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[0].action, "audit.cut");
    EXPECT_EQ(rows[0].actor, "retention");
    EXPECT_EQ(rows[1].detail, "later");
    EXPECT_EQ(verify_audit(*store_).value().fault.value_or(""), "");
    EXPECT_EQ(verify_chain(*store_).value().num_links, 2);
}

}  // namespace
}  // namespace turnpike::controlplane
