// The ledger: credit of every kind, reversals, and a chain that shows whatever was changed.
#include <string>
#include <vector>

#include "controlplane/store/ledger_chain.h"
#include "controlplane/store/migrate.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

class Ledger : public StoreFixture {
  protected:
    Ledger()
        : org_(make_org("acme").id),
          price_(make_name(make_endpoint(org_, "acme/pool").id, "name", price_of(3000, 7000))
                     .price.version) {}

    Credit credit(CreditKind kind, std::int64_t nanos, const std::string& key) const {
        return {org_, NanoUsd(nanos), "because", key, kind};
    }

    std::string add(CreditKind kind, std::int64_t nanos, const std::string& key) {
        const auto result = add_credit(*store_, credit(kind, nanos, key), now());
        EXPECT_TRUE(result.has_value()) << result.error().message;
        return result->transaction;
    }

    BillingRow row() const { return billing_statement(*store_, org_).value().rows.at(0); }

    // Three transactions: two credits and a bill of 10,000.
    void fill() {
        add(CreditKind::kAdd, 50'000, "a");
        add(CreditKind::kAdd, 60'000, "b");
        ASSERT_TRUE(store_->ingest_and_wait({"o", 0, {make_record(org_, price_, 1, 1)}}));
        ASSERT_TRUE(store_->wait_until_posted().has_value());
    }

    // As somebody with the file and another program would.
    void tamper(const std::string& sql) {
        store_.reset();
        auto file = Database::open(dir_ + "/control.db", Database::Access::kWrite).value();
        const Status done = file->execute(sql);
        ASSERT_TRUE(done.has_value()) << done.error().message;
        file.reset();
        open();
    }

    std::string fault() const { return verify_chain(*store_).value().fault.value_or(""); }

    OrgId org_;
    std::int64_t price_;
};

TEST_F(Ledger, CreditIsPaidInPaidBackAndAdjusted) {
    add(CreditKind::kAdd, 50'000, "a");
    add(CreditKind::kRefund, 20'000, "a");
    add(CreditKind::kAdjust, -5'000, "a");
    add(CreditKind::kAdjust, 1'000, "b");
    EXPECT_EQ(row().balance_nano_usd, NanoUsd(26'000));
    EXPECT_EQ(row().credited_nano_usd, NanoUsd(26'000));
    EXPECT_EQ(row().charged_nano_usd, NanoUsd());
    EXPECT_TRUE(billing_statement(*store_, std::nullopt).value().agrees);
}

TEST_F(Ledger, ARefundIsAtMostTheBalanceAndOnce) {
    add(CreditKind::kAdd, 50'000, "a");
    EXPECT_EQ(add_credit(*store_, credit(CreditKind::kRefund, 50'001, "r"), now()).error().code,
              ErrorCode::kConflict);
    EXPECT_EQ(row().balance_nano_usd, NanoUsd(50'000));
    add(CreditKind::kRefund, 50'000, "r");
    add(CreditKind::kRefund, 50'000, "r");
    EXPECT_EQ(row().balance_nano_usd, NanoUsd());
    EXPECT_EQ(add_credit(*store_, credit(CreditKind::kRefund, 1, "r"), now()).error().code,
              ErrorCode::kConflict);
}

TEST_F(Ledger, AmountsOfTheWrongSignAndMissingReasonsAreRefused) {
    for (const CreditKind kind : {CreditKind::kAdd, CreditKind::kRefund}) {
        EXPECT_EQ(add_credit(*store_, credit(kind, -1, ""), now()).error().param, "amount_usd");
    }
    Credit silent = credit(CreditKind::kAdjust, 1, "");
    silent.note.clear();
    EXPECT_EQ(add_credit(*store_, silent, now()).error().param, "note");
    EXPECT_EQ(parse_credit_kind("give").error().param, "kind");
}

TEST_F(Ledger, AWrongTransactionIsReversedOnceAndNeverChanged) {
    const std::string wrong = add(CreditKind::kAdd, 50'000, "a");
    for (int i = 0; i < 2; ++i) {
        const auto reversed = reverse_transaction(*store_, wrong, "typing error", now()).value();
        EXPECT_EQ(reversed.transaction, "reversal:" + wrong);
        EXPECT_EQ(reversed.balance_nano_usd, NanoUsd());
    }
    EXPECT_TRUE(billing_statement(*store_, std::nullopt).value().agrees);
    EXPECT_EQ(verify_chain(*store_).value().num_links, 2);
    EXPECT_EQ(reverse_transaction(*store_, "credit:none", "x", now()).error().code,
              ErrorCode::kNotFound);
    EXPECT_FALSE(reverse_transaction(*store_, "reversal:" + wrong, "x", now()).has_value());
    EXPECT_FALSE(reverse_transaction(*store_, wrong, "", now()).has_value());
}

TEST_F(Ledger, AReversedBillStaysInTheStatement) {
    fill();
    const auto usage = list_usage(*store_, org_, 1).value();
    const std::string ref = "usage:" + usage.rows[0].record.request_id.value();
    ASSERT_TRUE(reverse_transaction(*store_, ref, "goodwill", now()).has_value());
    EXPECT_EQ(row().charged_nano_usd, NanoUsd(10'000));
    EXPECT_EQ(row().balance_nano_usd, NanoUsd(110'000));
    EXPECT_TRUE(billing_statement(*store_, std::nullopt).value().agrees);
}

TEST_F(Ledger, EveryTransactionIsALink) {
    fill();
    const ChainReport report = verify_chain(*store_).value();
    EXPECT_EQ(report.num_links, 3);
    EXPECT_FALSE(report.fault.has_value()) << *report.fault;
    add(CreditKind::kAdd, 1, "c");
    EXPECT_NE(verify_chain(*store_).value().head, report.head);
    open();
    EXPECT_EQ(verify_chain(*store_).value().num_links, 4);
}

TEST_F(Ledger, CanonicalBytesTellFieldsApart) {
    const WallTime at = from_unix_us(7);
    const ChainedTransaction one{1, "a", "bc", at, {{1, NanoUsd(-5)}, {2, NanoUsd(5)}}};
    EXPECT_EQ(canonical_bytes(one), "1\n7\n1:a\n2:bc\n1 -5\n2 5\n");
    ChainedTransaction other = one;
    other.ref = "ab";
    other.note = "c";
    EXPECT_NE(canonical_bytes(one), canonical_bytes(other));
}

struct Tampering {
    const char* name;
    const char* sql;
    const char* found_at;  // in the words of the report
};

class TamperedLedger : public Ledger, public testing::WithParamInterface<Tampering> {};

TEST_P(TamperedLedger, Shows) {
    fill();
    ASSERT_EQ(fault(), "");
    tamper(GetParam().sql);
    EXPECT_NE(fault().find(GetParam().found_at), std::string::npos) << fault();
}

INSTANTIATE_TEST_SUITE_P(
    Each,
    TamperedLedger,
    testing::Values(
        Tampering{"Amount",
                  "DROP TRIGGER entries_are_immutable; UPDATE entries SET amount_nano_usd = "
                  "amount_nano_usd * 2 WHERE transaction_id = 2",
                  "transaction 2 "},
        Tampering{"Account",
                  "DROP TRIGGER entries_are_immutable; PRAGMA foreign_keys = OFF; UPDATE entries "
                  "SET account_id = account_id + 100 WHERE transaction_id = 2",
                  "transaction 2 "},
        Tampering{"Note",
                  "DROP TRIGGER transactions_are_immutable; UPDATE transactions SET note = 'x' "
                  "WHERE id = 1",
                  "transaction 1 "},
        Tampering{"Time",
                  "DROP TRIGGER transactions_are_immutable; UPDATE transactions SET posted_at_us = "
                  "1 WHERE id = 3",
                  "transaction 3 "},
        Tampering{"LostEntries",
                  "DROP TRIGGER entries_are_kept; DELETE FROM entries WHERE transaction_id = 3",
                  "transaction 3 "},
        Tampering{"LostTransaction",
                  "PRAGMA foreign_keys = OFF; DROP TRIGGER transactions_are_kept; DELETE FROM "
                  "transactions WHERE id = 2",
                  "expected transaction 2"},
        Tampering{"LostLast",
                  "PRAGMA foreign_keys = OFF; DROP TRIGGER transactions_are_kept; DELETE FROM "
                  "transactions WHERE id = 3",
                  "transaction 3 has a link"},
        Tampering{"SlippedIn",
                  "INSERT INTO transactions VALUES (4, 'credit:x', '', 0); INSERT INTO entries "
                  "VALUES (4, 1, 5)",
                  "transaction 4 "},
        Tampering{"LostLink",
                  "DROP TRIGGER chain_is_kept; DELETE FROM chain WHERE transaction_id = 3",
                  "found none"}),
    [](const auto& row) { return row.param.name; });

// A database of version 7 with data, as the program before this one left it.
TEST_F(Ledger, OlderTransactionsAreChainedAtTheFirstStart) {
    store_.reset();
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    auto file = Database::open(dir_ + "/control.db", Database::Access::kWrite).value();
    ASSERT_TRUE(migrate(*file, migrations::control().first(7), kControlApplicationId, now()));
    const Status filled = file->execute(
        "INSERT INTO identity VALUES (1, 'S', 0);"
        "INSERT INTO organisations VALUES ('org_1', 'acme', 'salt', 0);"
        "INSERT INTO accounts VALUES (3, 'prepaid', 'org_1', 70);"
        "UPDATE accounts SET balance_nano_usd = -100 WHERE kind = 'external';"
        "UPDATE accounts SET balance_nano_usd = 30 WHERE kind = 'revenue';"
        "INSERT INTO transactions VALUES (1, 'credit:org_1:a', 'n', 5), (2, 'usage:R', '', 6);"
        "INSERT INTO entries VALUES (1, 1, -100), (1, 3, 100), (2, 3, -30), (2, 2, 30);");
    ASSERT_TRUE(filled.has_value()) << filled.error().message;
    file.reset();
    open();
    const ChainReport report = verify_chain(*store_).value();
    EXPECT_EQ(report.num_links, 2);
    EXPECT_FALSE(report.fault.has_value()) << *report.fault;
    org_ = OrgId("org_1");
    EXPECT_EQ(row().balance_nano_usd, NanoUsd(70));
    add(CreditKind::kAdjust, 5, "b");
    EXPECT_EQ(row().balance_nano_usd, NanoUsd(75));
    EXPECT_EQ(verify_chain(*store_).value().num_links, 3);
    EXPECT_EQ(make_org("globex").balance_nano_usd, NanoUsd());
}

TEST_F(Ledger, TriggersRefuseEveryChange) {
    fill();
    store_.reset();
    auto file = Database::open(dir_ + "/control.db", Database::Access::kWrite).value();
    for (const char* sql :
         {"UPDATE entries SET amount_nano_usd = 1", "DELETE FROM entries",
          "UPDATE transactions SET note = 'x'", "DELETE FROM transactions",
          "UPDATE chain SET hash = hash", "DELETE FROM chain", "DELETE FROM accounts",
          "UPDATE accounts SET org = NULL", "UPDATE accounts SET kind = 'revenue'"}) {
        const Status refused = file->execute(sql);
        ASSERT_FALSE(refused.has_value()) << sql;
        EXPECT_EQ(refused.error().code, ErrorCode::kConflict) << refused.error().message;
    }
    file.reset();
    open();
}

}  // namespace
}  // namespace turnpike::controlplane
