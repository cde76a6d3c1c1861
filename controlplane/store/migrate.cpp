// Forward-only migrations with checksums.
#include "controlplane/store/migrate.h"

#include <string>

#include "config/crypto/digest.h"

namespace turnpike::controlplane {
namespace {

using migrations::Migration;

Error corrupt(const Database& database, const std::string& message) {
    return Error{ErrorCode::kCorrupt, database.path() + ": " + message, {}};
}

std::string checksum(const Migration& migration) {
    return crypto::to_hex(crypto::sha256(migration.sql));
}

Result<std::int64_t> read_pragma(Database& database, std::string_view sql) {
    Statement statement = database.prepare(sql);
    const std::int64_t value = statement.step() ? statement.integer(0) : 0;
    RETURN_IF_ERROR(statement.status());
    return value;
}

// A fresh file has application_id 0 and no tables; anything else with 0 is not ours.
Status claim(Database& database, std::int64_t application_id) {
    auto transaction = Transaction::begin(database, Transaction::Kind::kImmediate);
    RETURN_IF_ERROR(transaction);
    const auto found = read_pragma(database, "PRAGMA application_id");
    RETURN_IF_ERROR(found);
    if (*found == application_id) return {};
    const auto num_tables = read_pragma(database, "SELECT count(*) FROM sqlite_schema");
    RETURN_IF_ERROR(num_tables);
    if (*found != 0 || *num_tables != 0) {
        return corrupt(database, "expected a database of this program (application_id " +
                                     std::to_string(application_id) + "), found " +
                                     std::to_string(*found));
    }
    RETURN_IF_ERROR(database.execute(
        "CREATE TABLE migrations_applied (number INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 "
        "TEXT NOT NULL, applied_at_us INTEGER NOT NULL) STRICT"));
    RETURN_IF_ERROR(database.execute("PRAGMA application_id = " + std::to_string(application_id)));
    return transaction->commit();
}

// Checks what was applied against what we know; the result is how many were applied.
Result<std::size_t> check_applied(Database& database, std::span<const Migration> wanted) {
    Statement rows =
        database.prepare("SELECT number, name, sha256 FROM migrations_applied ORDER BY number");
    std::size_t num_applied = 0;
    while (rows.step()) {
        const std::string name = rows.text(1);
        if (num_applied >= wanted.size()) {
            return corrupt(database,
                           "migration " + name + " was applied by a newer program; start that one");
        }
        const Migration& expected = wanted[num_applied];
        if (rows.integer(0) != expected.number || name != expected.name) {
            return corrupt(database, "expected migration " + std::string(expected.name) +
                                         " as applied, found " + name);
        }
        if (rows.text(2) != checksum(expected)) {
            return corrupt(database, "migration " + name + " was changed after it was applied");
        }
        ++num_applied;
    }
    RETURN_IF_ERROR(rows.status());
    return num_applied;
}

Status apply(Database& database, const Migration& migration, WallTime now) {
    auto transaction = Transaction::begin(database, Transaction::Kind::kImmediate);
    RETURN_IF_ERROR(transaction);
    RETURN_IF_ERROR(database.execute(std::string(migration.sql)));
    RETURN_IF_ERROR(database
                        .prepare("INSERT INTO migrations_applied (number, name, sha256, "
                                 "applied_at_us) VALUES (?, ?, ?, ?)")
                        .bind(std::int64_t{migration.number})
                        .bind(migration.name)
                        .bind(checksum(migration))
                        .bind(now)
                        .run());
    RETURN_IF_ERROR(database.execute("PRAGMA user_version = " + std::to_string(migration.number)));
    return transaction->commit();
}

}  // namespace

Result<std::size_t> check_migrations(Database& database,
                                     std::span<const Migration> wanted,
                                     std::int64_t application_id) {
    const auto found = read_pragma(database, "PRAGMA application_id");
    RETURN_IF_ERROR(found);
    if (*found != application_id) {
        return corrupt(database, "expected application_id " + std::to_string(application_id) +
                                     ", found " + std::to_string(*found));
    }
    return check_applied(database, wanted);
}

Status migrate(Database& database,
               std::span<const Migration> wanted,
               std::int64_t application_id,
               WallTime now) {
    RETURN_IF_ERROR(claim(database, application_id));
    const auto num_applied = check_applied(database, wanted);
    RETURN_IF_ERROR(num_applied);
    for (const Migration& migration : wanted.subspan(*num_applied)) {
        RETURN_IF_ERROR(apply(database, migration, now));
    }
    return {};
}

Status check_migratable(Database& database,
                        std::span<const Migration> wanted,
                        std::int64_t application_id) {
    const auto found = read_pragma(database, "PRAGMA application_id");
    RETURN_IF_ERROR(found);
    if (*found == 0) return {};
    if (*found != application_id) {
        return corrupt(database, "expected a database of this program (application_id " +
                                     std::to_string(application_id) + "), found " +
                                     std::to_string(*found));
    }
    RETURN_IF_ERROR(check_applied(database, wanted));
    return {};
}

}  // namespace turnpike::controlplane
