// SQLite as values: Database (one connection), Statement, Transaction. The only files that call it.
// A connection is used by one thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/clock.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "config/base/unique_handle.h"

namespace turnpike::controlplane {

// What application_id says of our files (PRAGMA application_id): "TPct" and "TPus".
inline constexpr std::int64_t kControlApplicationId = 0x54506374;
inline constexpr std::int64_t kUsageApplicationId = 0x54507573;

// A prepared statement on loan from its connection; reset when it goes out of scope. The first
// error of prepare, bind or step sticks and is told by status().
class Statement {
  public:
    Statement(sqlite3* db, sqlite3_stmt* statement, std::optional<Error> error);
    ~Statement();
    Statement(Statement&& other) noexcept;
    Statement& operator=(Statement&&) = delete;

    // In the order of the '?'.
    Statement& bind(std::int64_t value);
    Statement& bind(std::string_view text);
    Statement& bind(NanoUsd amount);
    Statement& bind(WallTime time);
    Statement& bind_null();

    template <class T>
    Statement& bind(const std::optional<T>& value) {
        return value ? bind(*value) : bind_null();
    }

    // True while there is a row; false at the end and after an error.
    bool step();
    // Runs to the end.
    Status run();
    Status status() const;

    // Columns of the present row, from 0.
    std::int64_t integer(int column) const;
    int small(int column) const;
    std::string text(int column) const;
    bool is_null(int column) const;
    NanoUsd money(int column) const;
    WallTime time(int column) const;
    std::optional<WallTime> optional_time(int column) const;

  private:
    void note(int code);

    sqlite3* db_;
    sqlite3_stmt* statement_;
    int num_bound_ = 0;
    std::optional<Error> error_;
};

class Database {
  public:
    enum class Access { kWrite, kRead };

    // With this project's settings: WAL, synchronous=FULL, foreign keys, busy timeout 5 s. A file
    // made by kWrite has mode 0600.
    static Result<std::unique_ptr<Database>> open(const std::string& path, Access access);

    // Statements are prepared once per connection; `sql` has one statement and '?' parameters.
    Statement prepare(std::string_view sql);
    // Several statements without parameters.
    Status execute(const std::string& sql);
    // Copies what this connection sees, which in a transaction is its snapshot, to a new file with
    // SQLite's backup API: a database without files beside it. Others write meanwhile. Asks now and
    // then whether it `goes_on`; kUnavailable when not.
    Status copy_to(const std::string& to, const std::function<bool()>& goes_on);
    std::int64_t num_changed() const;
    std::int64_t last_row_id() const;

    const std::string& path() const { return path_; }

  private:
    Database(std::string path, UniqueHandle<sqlite3*, &sqlite3_close_v2> handle);

    using Prepared = UniqueHandle<sqlite3_stmt*, &sqlite3_finalize>;
    std::string path_;
    UniqueHandle<sqlite3*, &sqlite3_close_v2> handle_;
    std::map<std::string, Prepared, std::less<>> prepared_;
};

// Rolls back unless committed.
class Transaction {
  public:
    enum class Kind { kImmediate, kDeferred };  // writers are immediate: an upgrade can be refused

    static Result<Transaction> begin(Database& database, Kind kind);
    ~Transaction();
    Transaction(Transaction&& other) noexcept;
    Transaction& operator=(Transaction&&) = delete;

    Status commit();

  private:
    explicit Transaction(Database& database) : database_(&database) {}

    Database* database_;
};

}  // namespace turnpike::controlplane
