// Databases of every earlier version, with rows in every table, opened by this one: nothing is
// lost, what is new has its defaults, and the books and chains fit. The rows are in upgrades/, a
// file for each migration; a migration without one fails here.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/base/read_file.h"
#include "config/crypto/digest.h"
#include "controlplane/store/audit.h"
#include "controlplane/store/endpoints.h"
#include "controlplane/store/keys.h"
#include "controlplane/store/ledger_chain.h"
#include "controlplane/store/limits.h"
#include "controlplane/store/migrate.h"
#include "controlplane/store/models.h"
#include "controlplane/store/prices.h"
#include "controlplane/store/quarantine.h"
#include "controlplane/store/reconcile.h"
#include "controlplane/store/replicas.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

using migrations::Migration;
using Rows = std::set<std::string>;

// The store_id of 0001.sql.
const std::string kFoundedAs = "01M000000000000000STORE0NE";

// What rows of before have in a column that a migration added.
struct Default {
    std::string column;  // "table.column"
    std::string holds;   // SQL
};

const std::vector<Default> kDefaults = {
    {"identity.founded_as", "founded_as = '" + kFoundedAs + "'"},
    {"prices.from_at_us", "from_at_us IS NULL"},
    {"prices.source", "source = 'settings'"},
    {"endpoints.disable_speculative_decoding", "disable_speculative_decoding = 0"},
    {"endpoints.target_replicas", "target_replicas = min_replicas"},
    {"endpoints.last_active_at_us", "last_active_at_us = 0"},
    {"endpoints.stop_reason", "stop_reason = ''"},
    {"endpoints.unpaid_since_us", "unpaid_since_us IS NULL"},
    {"endpoints.rollout", "rollout = 1"},
    // The last part of the replica's name.
    {"replica_minutes.replica_index", "replica LIKE '%-' || replica_index"},
};

std::string read_rows_file(const std::string& name) {
    const std::string path = std::string(TURNPIKE_SOURCE_DIR) +
                             "/tests/unit/controlplane/store/upgrades/" + name + ".sql";
    auto text = read_file("the rows of a migration", path);
    EXPECT_TRUE(text.has_value()) << text.error().message;
    return text ? *text : "";
}

std::vector<std::string> texts(Database& database, const std::string& sql) {
    Statement rows = database.prepare(sql);
    std::vector<std::string> found;
    while (rows.step()) found.push_back(rows.text(0));
    EXPECT_TRUE(rows.status().has_value()) << rows.status().error().message;
    return found;
}

std::vector<std::string> tables_of(Database& database) {
    return texts(
        database,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
}

std::vector<std::string> columns_of(Database& database, const std::string& table) {
    return texts(database, "SELECT name FROM pragma_table_info('" + table + "') ORDER BY cid");
}

Rows rows_of(Database& database,
             const std::string& table,
             const std::vector<std::string>& columns) {
    std::string row = "''";
    for (const std::string& column : columns) row += " || quote(" + column + ") || ' '";
    const auto found = texts(database, "SELECT " + row + " FROM " + table);
    return {found.begin(), found.end()};
}

// What an earlier version had.
struct Before {
    std::map<std::string, std::vector<std::string>> columns;  // by table
    std::map<std::string, Rows> rows;

    bool has(const std::string& table) const { return columns.contains(table); }
};

Before read_before(Database& database) {
    Before before;
    for (const std::string& table : tables_of(database)) {
        before.columns[table] = columns_of(database, table);
        before.rows[table] = rows_of(database, table, before.columns[table]);
    }
    return before;
}

// As the program of that version would: transactions that were written as SQL get their links.
void link_transactions(Database& control) {
    ASSERT_TRUE(begin_chain(control, kFoundedAs).has_value());
    Statement unlinked = control.prepare(
        "SELECT id, ref, note, posted_at_us FROM transactions WHERE id > (SELECT "
        "max(transaction_id) FROM chain) ORDER BY id");
    std::vector<ChainedTransaction> transactions;
    while (unlinked.step())
        transactions.push_back(
            {unlinked.integer(0), unlinked.text(1), unlinked.text(2), unlinked.time(3), {}});
    for (ChainedTransaction& transaction : transactions) {
        Statement entries = control.prepare(
            "SELECT account_id, amount_nano_usd FROM entries WHERE transaction_id = ?");
        entries.bind(transaction.id);
        while (entries.step())
            transaction.entries.push_back({entries.integer(0), entries.money(1)});
        ASSERT_TRUE(append_link(control, transaction).has_value());
    }
}

void link_audit(Database& control) {
    ASSERT_TRUE(begin_audit_chain(control, kFoundedAs).has_value());
    Statement unlinked = control.prepare(
        "SELECT id, at_us, actor, action, subject, detail FROM audit WHERE id > (SELECT "
        "max(audit_id) FROM audit_chain) ORDER BY id");
    std::vector<AuditRow> rows;
    while (unlinked.step())
        rows.push_back({unlinked.integer(0), unlinked.time(1), unlinked.text(2), unlinked.text(3),
                        unlinked.text(4), unlinked.text(5), ""});
    for (const AuditRow& row : rows) {
        const std::string before =
            texts(control, "SELECT hash FROM audit_chain ORDER BY audit_id DESC LIMIT 1").at(0);
        const std::string hash =
            crypto::to_hex(crypto::sha256(before + "\n" + canonical_bytes(row)));
        ASSERT_TRUE(
            control.prepare("INSERT INTO audit_chain VALUES (?, ?)").bind(row.id).bind(hash).run());
    }
}

void link(Database& control) {
    const auto tables = tables_of(control);
    const std::set<std::string> known(tables.begin(), tables.end());
    if (known.contains("chain")) link_transactions(control);
    if (known.contains("audit_chain")) link_audit(control);
}

class Upgrade : public testing::TestWithParam<std::size_t> {
  protected:
    Upgrade() : log_(clock_, "test", LogLevel::kError) {
        std::string pattern = testing::TempDir() + "upgrade.XXXXXX";
        CHECK(::mkdtemp(pattern.data()) != nullptr);
        dir_ = pattern;
    }

    ~Upgrade() override {
        store_.reset();
        std::filesystem::remove_all(dir_);
    }

    // Version by version, with its rows before the next one comes.
    void build(std::size_t version) {
        const auto all = migrations::control();
        auto control = Database::open(dir_ + "/control.db", Database::Access::kWrite).value();
        for (std::size_t i = 1; i <= version; ++i) {
            ASSERT_TRUE(migrate(*control, all.first(i), kControlApplicationId, WallTime()));
            link(*control);
            const std::string name = std::string(all[i - 1].name).substr(0, 4);
            const Status filled = control->execute(read_rows_file(name));
            ASSERT_TRUE(filled.has_value()) << name << ": " << filled.error().message;
            link(*control);
        }
        before_ = read_before(*control);
        for (const auto& [table, rows] : before_.rows) EXPECT_FALSE(rows.empty()) << table;
        EXPECT_TRUE(texts(*control, "PRAGMA foreign_key_check").empty());
        if (before_.has("posted")) build_usage();
    }

    void build_usage() {
        auto file = Database::open(dir_ + "/usage-2023-11.db", Database::Access::kWrite).value();
        ASSERT_TRUE(migrate(*file, migrations::usage(), kUsageApplicationId, WallTime()));
        ASSERT_TRUE(file->execute(read_rows_file("usage-0001")).has_value());
    }

    void open() {
        auto store = Store::open(dir_, clock_, log_);
        ASSERT_TRUE(store.has_value()) << store.error().message;
        store_ = std::move(*store);
        ASSERT_TRUE(store_->wait_until_posted().has_value());
        control_ = Database::open(dir_ + "/control.db", Database::Access::kRead).value();
    }

    void expect_rows_survive() {
        for (const auto& [table, rows] : before_.rows) {
            const Rows after = rows_of(*control_, table, before_.columns.at(table));
            for (const std::string& row : rows)
                EXPECT_TRUE(after.contains(row)) << table << " lost " << row;
        }
    }

    void expect_defaults() {
        std::map<std::string, std::string> defaults;
        for (const Default& one : kDefaults) defaults[one.column] = one.holds;
        for (const auto& [table, columns] : before_.columns) {
            const std::set<std::string> known(columns.begin(), columns.end());
            for (const std::string& column : columns_of(*control_, table)) {
                if (known.contains(column)) continue;
                const auto found = defaults.find(table + "." + column);
                ASSERT_NE(found, defaults.end()) << "no default of " << table << "." << column;
                EXPECT_TRUE(texts(*control_,
                                  "SELECT 1 FROM " + table + " WHERE NOT (" + found->second + ")")
                                .empty())
                    << found->first;
            }
        }
    }

    // Every value that an earlier version wrote can still be read.
    void expect_readable() {
        EXPECT_TRUE(list_organisations(*store_).has_value());
        EXPECT_EQ(list_keys(*store_, std::nullopt).value().size(),
                  before_.has("api_keys") ? before_.rows.at("api_keys").size() : 0u);
        EXPECT_TRUE(list_endpoints(*store_, std::nullopt).has_value());
        EXPECT_TRUE(list_replicas(*store_, std::nullopt).has_value());
        EXPECT_EQ(list_open_steps(*store_).value().size(), before_.has("endpoints") ? 1u : 0u);
        EXPECT_TRUE(list_models(*store_, clock_.wall_now()).has_value());
        EXPECT_EQ(list_prices(*store_, std::nullopt).value().size(),
                  before_.has("prices") ? before_.rows.at("prices").size() : 0u);
        EXPECT_EQ(list_limits(*store_).value().size(), before_.has("limits") ? 2u : 0u);
        EXPECT_EQ(list_quarantine(*store_, 10).value().size(), before_.has("quarantine") ? 1u : 0u);
    }

    void expect_books_fit() {
        const auto books = reconcile_books(*store_).value();
        for (const Misfit& misfit : books.misfits)
            EXPECT_EQ(misfit.check, "quarantine") << misfit.what;
        EXPECT_EQ(books.num_unposted, 0);
        EXPECT_EQ(books.num_links,
                  before_.has("transactions")
                      ? static_cast<std::int64_t>(before_.rows.at("transactions").size())
                      : 0);
        EXPECT_TRUE(billing_statement(*store_, std::nullopt).value().agrees);
    }

    ManualClock clock_;
    Log log_;
    std::string dir_;
    Before before_;
    std::unique_ptr<Store> store_;
    std::unique_ptr<Database> control_;
};

TEST_P(Upgrade, KeepsRowsAndFillsInDefaults) {
    build(GetParam());
    ASSERT_FALSE(HasFatalFailure());
    open();
    ASSERT_FALSE(HasFatalFailure());
    EXPECT_EQ(texts(*control_, "PRAGMA user_version").at(0),
              std::to_string(migrations::control().size()));
    EXPECT_EQ(texts(*control_, "PRAGMA integrity_check"), std::vector<std::string>{"ok"});
    EXPECT_TRUE(texts(*control_, "PRAGMA foreign_key_check").empty());
    expect_rows_survive();
    expect_defaults();
    expect_readable();
    EXPECT_EQ(store_->founded_as(), kFoundedAs);
    // A file that was to be deleted when the last start ended goes at this one.
    EXPECT_EQ(std::filesystem::exists(dir_ + "/usage-2023-11.db"),
              before_.has("posted") && !before_.has("retired_months"));
    EXPECT_EQ(verify_chain(*store_).value().fault.value_or(""), "");
    EXPECT_EQ(verify_audit(*store_).value().fault.value_or(""), "");
    // Version 5 has bills and no watermark yet that says so.
    if (!before_.has("transactions") || before_.has("posted")) expect_books_fit();
}

// As after a crash behind any of the migrations: the next start goes on.
TEST_P(Upgrade, IsTheSameWhenItIsOpenedAgain) {
    build(GetParam());
    ASSERT_FALSE(HasFatalFailure());
    open();
    ASSERT_FALSE(HasFatalFailure());
    const Before first = read_before(*control_);
    store_.reset();
    open();
    ASSERT_FALSE(HasFatalFailure());
    EXPECT_EQ(read_before(*control_).rows, first.rows);
}

INSTANTIATE_TEST_SUITE_P(FromVersion,
                         Upgrade,
                         testing::Range(std::size_t{1}, migrations::control().size() + 1));

}  // namespace
}  // namespace turnpike::controlplane
