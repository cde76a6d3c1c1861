// SQLite's C interface behind values.
#include "controlplane/store/sqlite.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace turnpike::controlplane {
namespace {

constexpr int kPagesPerStep = 4096;  // 16 MiB

Error sqlite_error(sqlite3* db, int code, std::string_view what) {
    // After a failed fsync the kernel may have dropped the pages: what is on disk is unknown, and
    // only a new process that reads it again can tell.
    CHECK(code != SQLITE_IOERR_FSYNC && code != SQLITE_IOERR_DIR_FSYNC);
    const int primary = code & 0xff;
    ErrorCode kind = ErrorCode::kInternal;
    if (primary == SQLITE_BUSY || primary == SQLITE_FULL || primary == SQLITE_LOCKED) {
        kind = ErrorCode::kUnavailable;
    } else if (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN ||
               primary == SQLITE_READONLY) {
        kind = ErrorCode::kIo;
    } else if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB) {
        kind = ErrorCode::kCorrupt;
    } else if (primary == SQLITE_CONSTRAINT) {
        kind = ErrorCode::kConflict;
    }
    const char* reason = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
    return Error{kind, std::string(what) + ": " + reason, {}};
}

}  // namespace

Statement::Statement(sqlite3* db, sqlite3_stmt* statement, std::optional<Error> error)
    : db_(db), statement_(statement), error_(std::move(error)) {}

Statement::Statement(Statement&& other) noexcept
    : db_(other.db_),
      statement_(std::exchange(other.statement_, nullptr)),
      num_bound_(other.num_bound_),
      error_(std::move(other.error_)) {}

Statement::~Statement() {
    if (statement_ == nullptr) return;
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

void Statement::note(int code) {
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE || error_) return;
    error_ = sqlite_error(db_, code, sqlite3_sql(statement_));
}

Statement& Statement::bind(std::int64_t value) {
    if (!error_) note(sqlite3_bind_int64(statement_, ++num_bound_, value));
    return *this;
}

Statement& Statement::bind(std::string_view text) {
    // A null pointer would bind NULL.
    const char* data = text.data() == nullptr ? "" : text.data();
    if (!error_) {
        note(sqlite3_bind_text64(statement_, ++num_bound_, data, text.size(), SQLITE_TRANSIENT,
                                 SQLITE_UTF8));
    }
    return *this;
}

Statement& Statement::bind(NanoUsd amount) {
    return bind(amount.value());
}

Statement& Statement::bind(WallTime time) {
    return bind(to_unix_us(time));
}

Statement& Statement::bind_null() {
    if (!error_) note(sqlite3_bind_null(statement_, ++num_bound_));
    return *this;
}

bool Statement::step() {
    if (error_) return false;
    const int code = sqlite3_step(statement_);
    note(code);
    return code == SQLITE_ROW;
}

Status Statement::run() {
    while (step()) {
    }
    return status();
}

Status Statement::status() const {
    if (error_) return *error_;
    return {};
}

std::int64_t Statement::integer(int column) const {
    return sqlite3_column_int64(statement_, column);
}

int Statement::small(int column) const {
    return sqlite3_column_int(statement_, column);
}

std::string Statement::text(int column) const {
    const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    if (data == nullptr) return {};
    return std::string(data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
}

bool Statement::is_null(int column) const {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

NanoUsd Statement::money(int column) const {
    return NanoUsd(integer(column));
}

WallTime Statement::time(int column) const {
    return from_unix_us(integer(column));
}

std::optional<WallTime> Statement::optional_time(int column) const {
    if (is_null(column)) return std::nullopt;
    return time(column);
}

Database::Database(std::string path, UniqueHandle<sqlite3*, &sqlite3_close_v2> handle)
    : path_(std::move(path)), handle_(std::move(handle)) {}

Result<std::unique_ptr<Database>> Database::open(const std::string& path, Access access) {
    if (access == Access::kWrite) {
        // SQLite would create it with the umask's mode; its -wal and -shm files inherit this one.
        const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (!file.is_open()) return errno_error("cannot open " + path);
    }
    const int flags = (access == Access::kWrite ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
                      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    sqlite3* raw = nullptr;
    const int code = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
    UniqueHandle<sqlite3*, &sqlite3_close_v2> handle(raw);
    if (code != SQLITE_OK) return sqlite_error(raw, code, "cannot open " + path);
    std::unique_ptr<Database> database(new Database(path, std::move(handle)));
    std::string settings = "PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON;";
    if (access == Access::kWrite) {
        settings +=
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "PRAGMA wal_autocheckpoint = 4000;";
    }
    RETURN_IF_ERROR(database->execute(settings));
    return database;
}

Statement Database::prepare(std::string_view sql) {
    auto entry = prepared_.find(sql);
    if (entry == prepared_.end()) {
        sqlite3_stmt* raw = nullptr;
        const int code = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                            SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
        if (code != SQLITE_OK) {
            return Statement(handle_.get(), nullptr, sqlite_error(handle_.get(), code, sql));
        }
        entry = prepared_.emplace(std::string(sql), Prepared(raw)).first;
    }
    return Statement(handle_.get(), entry->second.get(), std::nullopt);
}

Status Database::execute(const std::string& sql) {
    const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return sqlite_error(handle_.get(), code, path_);
    return {};
}

Status Database::copy_to(const std::string& to, const std::function<bool()>& goes_on) {
    UniqueFd file(::open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file.is_open()) return errno_error("cannot make " + to);
    file.reset();  // closing it later would drop SQLite's locks
    sqlite3* raw = nullptr;
    const int opened = sqlite3_open_v2(
        to.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
        nullptr);
    const UniqueHandle<sqlite3*, &sqlite3_close_v2> target(raw);
    if (opened != SQLITE_OK) return sqlite_error(raw, opened, "cannot open " + to);
    sqlite3_backup* backup = sqlite3_backup_init(raw, "main", handle_.get(), "main");
    if (backup == nullptr) return sqlite_error(raw, sqlite3_errcode(raw), "cannot copy to " + to);
    int code = SQLITE_OK;
    bool is_cut_off = false;
    while (code == SQLITE_OK && !is_cut_off) {
        is_cut_off = !goes_on();
        if (!is_cut_off) code = sqlite3_backup_step(backup, kPagesPerStep);
    }
    const int finished = sqlite3_backup_finish(backup);
    if (is_cut_off) return Error{ErrorCode::kUnavailable, "the copy to " + to + " was cut off", {}};
    if (code != SQLITE_DONE) return sqlite_error(raw, code, "cannot copy to " + to);
    if (finished != SQLITE_OK) return sqlite_error(raw, finished, "cannot copy to " + to);
    // The copy says WAL as its source does, and could not be opened where nothing may be written.
    const int settled =
        sqlite3_exec(raw, "PRAGMA journal_mode = DELETE", nullptr, nullptr, nullptr);
    if (settled != SQLITE_OK) return sqlite_error(raw, settled, to);
    return {};
}

std::int64_t Database::num_changed() const {
    return sqlite3_changes64(handle_.get());
}

std::int64_t Database::last_row_id() const {
    return sqlite3_last_insert_rowid(handle_.get());
}

Result<Transaction> Transaction::begin(Database& database, Kind kind) {
    RETURN_IF_ERROR(database.prepare(kind == Kind::kImmediate ? "BEGIN IMMEDIATE" : "BEGIN").run());
    return Transaction(database);
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Transaction::~Transaction() {
    // A failed commit may have rolled back already; then this is refused, and nothing is lost.
    if (database_ != nullptr) static_cast<void>(database_->prepare("ROLLBACK").run());
}

Status Transaction::commit() {
    RETURN_IF_ERROR(database_->prepare("COMMIT").run());
    database_ = nullptr;
    return {};
}

}  // namespace turnpike::controlplane
