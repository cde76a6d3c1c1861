// Reconciliation: whole books fit, and each planted misfit is found and named.
#include "controlplane/store/reconcile.h"

#include "controlplane/store/sqlite.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

class Reconcile : public StoreFixture {
  protected:
    Reconcile()
        : org_(make_org("acme").id),
          price_(make_name(make_endpoint(org_, "acme/pool").id, "name", price_of(3000, 7000))
                     .price.version) {
        CHECK(add_credit(*store_, {org_, NanoUsd(1'000'000), "", "k"}, now()));
    }

    // Three billed events of 10,000, 20,000 and 30,000 and one written off, by replica r.
    void fill() {
        for (std::int64_t i = 1; i <= 3; ++i) add(i, Outcome::kCompleted);
        add(5, Outcome::kReplicaFailed);
        ASSERT_TRUE(store_->wait_until_posted().has_value());
    }

    void add(std::int64_t tokens, Outcome outcome) {
        UsageRecord record = make_record(org_, price_, tokens, tokens);
        record.replica = ReplicaId("r");
        record.outcome = outcome;
        ids_.push_back(record.request_id.value());
        ASSERT_TRUE(store_->ingest_and_wait({"o", 0, {record}}).has_value());
    }

    void tamper(const std::string& name, const std::string& sql) {
        store_.reset();
        auto file = Database::open(dir_ + "/" + name, Database::Access::kWrite).value();
        const Status done = file->execute(sql);
        ASSERT_TRUE(done.has_value()) << done.error().message;
        file.reset();
        open();
        ASSERT_TRUE(store_->wait_until_posted().has_value());
    }

    Reconciliation books() const { return reconcile_books(*store_).value(); }

    // The words of one check; empty when it found nothing.
    std::string misfit(const std::string& check) const {
        for (const Misfit& one : books().misfits) {
            if (one.check == check) return one.what;
        }
        return {};
    }

    OrgId org_;
    std::int64_t price_;
    std::vector<std::string> ids_;
};

TEST_F(Reconcile, WholeBooksFit) {
    fill();
    const Reconciliation found = books();
    EXPECT_TRUE(found.misfits.empty()) << found.misfits[0].what;
    EXPECT_EQ(found.num_events, 4);
    EXPECT_EQ(found.num_billed, 3);
    EXPECT_EQ(found.num_written_off, 1);
    EXPECT_EQ(found.num_transactions, 3);
    EXPECT_EQ(found.usage_cost_nano_usd, NanoUsd(60'000));
    EXPECT_EQ(found.charged_nano_usd, NanoUsd(60'000));
    const ReplicaUsage& replica = found.by_replica.at(ReplicaId("r"));
    EXPECT_EQ(replica.billed.prompt_tokens, 6);
    EXPECT_EQ(replica.written_off.completion_tokens, 5);
    EXPECT_EQ(replica.sum().prompt_tokens, 11);
}

TEST_F(Reconcile, AReversalIsNoMisfit) {
    fill();
    ASSERT_TRUE(reverse_transaction(*store_, "usage:" + ids_[1], "goodwill", now()).has_value());
    EXPECT_TRUE(books().misfits.empty());
}

TEST_F(Reconcile, AnEventWithoutEntryIsNamed) {
    fill();
    tamper("control.db",
           "PRAGMA foreign_keys = OFF; DROP TRIGGER entries_are_kept; DROP TRIGGER "
           "transactions_are_kept; DROP TRIGGER chain_is_kept; DELETE FROM entries WHERE "
           "transaction_id = 4; DELETE FROM transactions WHERE id = 4; DELETE FROM chain WHERE "
           "transaction_id = 4");
    EXPECT_EQ(misfit("event"), "request " + ids_[2] +
                                   " in usage-2026-11.db: costs 0.00003 USD and has no entry in "
                                   "the ledger");
    EXPECT_EQ(misfit("chain"), "");  // cut at its end: only the books beside it can tell
    EXPECT_NE(misfit("ledger"), "");
}

TEST_F(Reconcile, AnEntryWithoutEventIsNamed) {
    fill();
    tamper("usage-2026-11.db",
           "DROP TRIGGER events_are_kept; DELETE FROM events WHERE sequence = 2");
    EXPECT_EQ(misfit("entry"), "transaction 3 (usage:" + ids_[1] +
                                   ") is in the ledger and its request in no usage file");
    EXPECT_EQ(misfit("chain"), "");
}

TEST_F(Reconcile, AChangedAmountIsNamed) {
    fill();
    tamper("usage-2026-11.db",
           "DROP TRIGGER events_are_immutable; UPDATE events SET cost_nano_usd = 20001 WHERE "
           "sequence = 2");
    EXPECT_NE(misfit("event").find(ids_[1] + " in usage-2026-11.db: expected a cost of 0.00002"),
              std::string::npos)
        << misfit("event");
}

TEST_F(Reconcile, AChangedCountIsNamed) {
    fill();
    tamper("usage-2026-11.db",
           "DROP TRIGGER events_are_immutable; UPDATE events SET prompt_tokens = 9 WHERE sequence "
           "= 4");
    EXPECT_NE(misfit("event").find(ids_[3]), std::string::npos) << misfit("event");
}

TEST_F(Reconcile, ABrokenChainAndAChangedEntryAreNamed) {
    fill();
    tamper("control.db",
           "DROP TRIGGER entries_are_immutable; UPDATE entries SET amount_nano_usd = "
           "amount_nano_usd * 2 WHERE transaction_id = 3");
    EXPECT_EQ(books().misfits.at(0).check, "chain");
    EXPECT_NE(misfit("chain").find("transaction 3 "), std::string::npos);
    EXPECT_NE(misfit("event").find(ids_[1]), std::string::npos);
    EXPECT_NE(misfit("ledger"), "");
}

TEST_F(Reconcile, AChangedBalanceIsNamed) {
    fill();
    tamper("control.db",
           "UPDATE accounts SET balance_nano_usd = balance_nano_usd + 1 WHERE kind = 'prepaid'");
    EXPECT_NE(misfit("ledger").find(org_.value()), std::string::npos) << misfit("ledger");
    EXPECT_EQ(books().misfits.size(), 1U);
}

TEST_F(Reconcile, AnUnbalancedTransactionIsNamed) {
    fill();
    tamper("control.db", "INSERT INTO transactions VALUES (5, 'adjust:x', '', 0)");
    EXPECT_NE(misfit("ledger").find("transaction 5 (adjust:x)"), std::string::npos);
}

TEST_F(Reconcile, QuarantineIsAMisfitAndItsTokensAreCounted) {
    fill();
    UsageRecord record = make_record(org_, 999, 3, 4);
    record.replica = ReplicaId("r");
    ASSERT_TRUE(store_->ingest_and_wait({"o", 0, {record}}).has_value());
    EXPECT_EQ(misfit("quarantine"),
              "request " + record.request_id.value() + " is in quarantine: no price version 999");
    EXPECT_EQ(books().by_replica.at(ReplicaId("r")).sum().prompt_tokens, 14);
}

}  // namespace
}  // namespace turnpike::controlplane
