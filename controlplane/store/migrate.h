// Applies migrations to one database, each in a transaction of its own with its row in
// `migrations_applied`, so that a crash leaves whole steps.
#pragma once

#include <cstdint>
#include <span>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "controlplane/store/sqlite.h"
#include "migrations/migrations.h"

namespace turnpike::controlplane {

// kCorrupt when the file belongs to another application, was migrated by a newer program, or when
// a migration that was applied is missing or has changed since (SHA-256).
Status migrate(Database& database,
               std::span<const migrations::Migration> wanted,
               std::int64_t application_id,
               WallTime now);

// How many of `wanted` were applied to a database that is only read; kCorrupt as above.
Result<std::size_t> check_migrations(Database& database,
                                     std::span<const migrations::Migration> wanted,
                                     std::int64_t application_id);

// Whether migrate() would refuse, and nothing is written. A database that nobody has claimed yet is
// fine.
Status check_migratable(Database& database,
                        std::span<const migrations::Migration> wanted,
                        std::int64_t application_id);

}  // namespace turnpike::controlplane
