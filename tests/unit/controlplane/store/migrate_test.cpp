// Migrations: forward from any earlier version, and a history that was tampered with is refused.
#include "controlplane/store/migrate.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

namespace turnpike::controlplane {
namespace {

using migrations::Migration;

class Migrations : public testing::Test {
  protected:
    Migrations() {
        std::string pattern = testing::TempDir() + "migrate.XXXXXX";
        CHECK(::mkdtemp(pattern.data()) != nullptr);
        dir_ = pattern;
        database_ = Database::open(dir_ + "/x.db", Database::Access::kWrite).value();
    }

    ~Migrations() override {
        database_.reset();
        std::filesystem::remove_all(dir_);
    }

    Status apply(std::span<const Migration> wanted) {
        return migrate(*database_, wanted, kControlApplicationId, WallTime());
    }

    std::int64_t pragma(std::string_view sql) {
        Statement row = database_->prepare(sql);
        EXPECT_TRUE(row.step());
        return row.integer(0);
    }

    std::string dir_;
    std::unique_ptr<Database> database_;
    const std::vector<Migration> steps_ = {{1, "0001_a", "CREATE TABLE a (x INTEGER) STRICT"},
                                           {2, "0002_b", "CREATE TABLE b (x INTEGER) STRICT"}};
};

TEST_F(Migrations, EveryPreviousVersionUpgradesToTheLast) {
    const auto all = migrations::control();
    for (std::size_t version = 1; version <= all.size(); ++version) {
        const std::string path = dir_ + "/v" + std::to_string(version) + ".db";
        database_ = Database::open(path, Database::Access::kWrite).value();
        ASSERT_TRUE(apply(all.first(version)).has_value());
        EXPECT_EQ(pragma("PRAGMA user_version"), static_cast<std::int64_t>(version));
        const Status upgraded = apply(all);
        ASSERT_TRUE(upgraded.has_value()) << upgraded.error().message;
        EXPECT_EQ(pragma("PRAGMA user_version"), static_cast<std::int64_t>(all.size()));
        EXPECT_EQ(pragma("PRAGMA application_id"), kControlApplicationId);
        EXPECT_TRUE(apply(all).has_value());
    }
}

TEST_F(Migrations, CheckingRefusesTheSameAndWritesNothing) {
    const std::span<const Migration> all = steps_;
    const auto check = [&](std::span<const Migration> wanted, std::int64_t application_id) {
        return check_migratable(*database_, wanted, application_id).has_value();
    };
    EXPECT_TRUE(check(all, kControlApplicationId));  // nobody's yet
    EXPECT_EQ(pragma("PRAGMA application_id"), 0);
    ASSERT_TRUE(apply(all.first(1)).has_value());
    EXPECT_TRUE(check(all, kControlApplicationId));
    EXPECT_FALSE(check(all, kControlApplicationId + 1));
    EXPECT_EQ(pragma("PRAGMA user_version"), 1);
    ASSERT_TRUE(apply(all).has_value());
    EXPECT_FALSE(check(all.first(1), kControlApplicationId));
}

TEST_F(Migrations, AChangedOneIsRefused) {
    ASSERT_TRUE(apply(steps_).has_value());
    auto changed = steps_;
    changed[0].sql = "CREATE TABLE a (y INTEGER) STRICT";
    EXPECT_EQ(apply(changed).error().code, ErrorCode::kCorrupt);
    EXPECT_NE(apply(changed).error().message.find("0001_a"), std::string::npos);
}

TEST_F(Migrations, AMissingOneIsRefused) {
    ASSERT_TRUE(apply(steps_).has_value());
    EXPECT_EQ(apply(std::span(steps_).first(1)).error().code, ErrorCode::kCorrupt);
    const std::vector<Migration> renamed = {steps_[0], {2, "0002_c", steps_[1].sql}};
    EXPECT_EQ(apply(renamed).error().code, ErrorCode::kCorrupt);
}

TEST_F(Migrations, AFailingOneLeavesTheVersionBefore) {
    auto broken = steps_;
    broken[1].sql = "CREATE TABLE c (x INTEGER) STRICT; CREATE TABLE a (x INTEGER) STRICT";
    EXPECT_FALSE(apply(broken).has_value());
    EXPECT_EQ(pragma("PRAGMA user_version"), 1);
    EXPECT_EQ(pragma("SELECT count(*) FROM sqlite_schema WHERE name = 'c'"), 0);
    EXPECT_TRUE(apply(steps_).has_value());
}

TEST_F(Migrations, AForeignDatabaseIsRefused) {
    ASSERT_TRUE(database_->execute("CREATE TABLE theirs (x INTEGER)").has_value());
    EXPECT_EQ(apply(steps_).error().code, ErrorCode::kCorrupt);
    ASSERT_TRUE(database_->execute("PRAGMA application_id = 7").has_value());
    EXPECT_EQ(apply(steps_).error().code, ErrorCode::kCorrupt);
}

TEST_F(Migrations, TablesAreStrictAndHistoryIsImmutable) {
    ASSERT_TRUE(apply(migrations::control()).has_value());
    EXPECT_EQ(pragma("SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = "
                     "'table' AND strict = 0 AND name NOT LIKE 'sqlite_%'"),
              0);
    ASSERT_TRUE(database_
                    ->execute("INSERT INTO prices (name, input_nano_usd, cached_input_nano_usd, "
                              "output_nano_usd, per_minute_nano_usd, created_at_us) VALUES ('a', "
                              "1, 1, 1, 1, 1); INSERT INTO transactions (id, ref, note, "
                              "posted_at_us) VALUES (1, 'r', '', 0); INSERT INTO entries VALUES "
                              "(1, 1, 5)")
                    .has_value());
    for (const char* sql : {"UPDATE prices SET input_nano_usd = 2", "DELETE FROM prices",
                            "UPDATE entries SET amount_nano_usd = 2", "DELETE FROM entries"}) {
        EXPECT_FALSE(database_->execute(sql).has_value()) << sql;
    }
}

TEST_F(Migrations, SettingsAreDurable) {
    EXPECT_EQ(pragma("PRAGMA synchronous"), 2);
    EXPECT_EQ(pragma("PRAGMA foreign_keys"), 1);
    Statement mode = database_->prepare("PRAGMA journal_mode");
    ASSERT_TRUE(mode.step());
    EXPECT_EQ(mode.text(0), "wal");
    EXPECT_EQ(Database::open(dir_ + "/none/x.db", Database::Access::kWrite).error().code,
              ErrorCode::kIo);
    EXPECT_FALSE(Database::open(dir_ + "/none.db", Database::Access::kRead).has_value());
}

TEST_F(Migrations, ATransactionRollsBackUnlessCommitted) {
    ASSERT_TRUE(apply(steps_).has_value());
    {
        auto transaction = Transaction::begin(*database_, Transaction::Kind::kImmediate).value();
        ASSERT_TRUE(database_->execute("INSERT INTO a VALUES (1)").has_value());
    }
    EXPECT_EQ(pragma("SELECT count(*) FROM a"), 0);
    auto transaction = Transaction::begin(*database_, Transaction::Kind::kImmediate).value();
    ASSERT_TRUE(database_->execute("INSERT INTO a VALUES (1)").has_value());
    ASSERT_TRUE(transaction.commit().has_value());
    EXPECT_EQ(pragma("SELECT count(*) FROM a"), 1);
}

}  // namespace
}  // namespace turnpike::controlplane
