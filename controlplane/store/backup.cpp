// Copies of one moment, and their verification.
#include "controlplane/store/backup.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <utility>

#include "config/base/read_file.h"
#include "controlplane/store/audit.h"
#include "controlplane/store/backup_files.h"
#include "controlplane/store/data_dir.h"
#include "controlplane/store/ledger_chain.h"
#include "controlplane/store/migrate.h"
#include "controlplane/store/moment.h"
#include "controlplane/store/publish.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

namespace fs = std::filesystem;

// Gone, with what it holds, unless it was renamed.
class PartialDirectory {
  public:
    static Result<PartialDirectory> make(const std::string& beside) {
        std::string path = beside + ".partial-XXXXXX";
        if (::mkdtemp(path.data()) == nullptr) return errno_error("cannot make " + path);
        return PartialDirectory(std::move(path));
    }

    ~PartialDirectory() {
        std::error_code ignored;  // what stays says by its name that it is no backup
        if (!path_.empty()) fs::remove_all(path_, ignored);
    }

    PartialDirectory(PartialDirectory&& other) noexcept
        : path_(std::exchange(other.path_, std::string())) {}

    PartialDirectory& operator=(PartialDirectory&&) = delete;

    const std::string& path() const { return path_; }

    Status rename_to(const std::string& name) {
        if (::rename(path_.c_str(), name.c_str()) != 0)
            return errno_error("cannot rename " + path_ + " to " + name);
        path_.clear();
        return {};
    }

  private:
    explicit PartialDirectory(std::string path) : path_(std::move(path)) {}

    std::string path_;
};

Status check_new_path(const std::string& dir) {
    if (!dir.starts_with('/') || dir.ends_with('/'))
        return invalid_argument(
            "expected the absolute path of a directory to make, found '" + excerpt(dir) + "'",
            "path");
    std::error_code failed;
    if (!fs::is_directory(fs::path(dir).parent_path(), failed))
        return invalid_argument("expected a directory to make the backup in, found none at '" +
                                    fs::path(dir).parent_path().string() + "'",
                                "path");
    if (fs::exists(fs::symlink_status(dir, failed)))
        return Error{ErrorCode::kConflict, dir + " exists; a backup makes its directory", "path"};
    return {};
}

// `sql` gives a count and the last hash.
Result<ChainMark> read_mark(Database& control, std::string_view sql) {
    Statement row = control.prepare(sql);
    ChainMark mark;
    if (row.step()) mark = {row.integer(0), row.text(1)};
    RETURN_IF_ERROR(row.status());
    return mark;
}

Result<ChainMark> read_ledger_mark(Database& control) {
    return read_mark(control,
                     "SELECT transaction_id, hash FROM chain ORDER BY transaction_id DESC LIMIT 1");
}

Result<ChainMark> read_audit_mark(Database& control) {
    return read_mark(
        control,
        "SELECT (SELECT count(*) - 1 FROM audit_chain), hash FROM audit_chain ORDER BY "
        "audit_id DESC LIMIT 1");
}

Result<BackupManifest> describe(Database& control, WallTime now) {
    BackupManifest manifest;
    const auto identity = read_identity(control);
    RETURN_IF_ERROR(identity);
    manifest.store_id = identity->store_id;
    manifest.revision = identity->revision;
    manifest.created_at = format_rfc3339(now);
    manifest.control_schema = static_cast<std::int64_t>(migrations::control().size());
    manifest.usage_schema = static_cast<std::int64_t>(migrations::usage().size());
    const auto ledger = read_ledger_mark(control);
    RETURN_IF_ERROR(ledger);
    manifest.ledger = *ledger;
    const auto audit = read_audit_mark(control);
    RETURN_IF_ERROR(audit);
    manifest.audit = *audit;
    return manifest;
}

Status copy_database(Database& database,
                     const std::string& dir,
                     const std::function<bool()>& goes_on,
                     BackupManifest& manifest) {
    const std::string name = fs::path(database.path()).filename().string();
    RETURN_IF_ERROR(database.copy_to(dir + "/" + name, goes_on));
    RETURN_IF_ERROR(sync_path(dir + "/" + name));
    const auto file = measure_file(dir, name);
    RETURN_IF_ERROR(file);
    manifest.files.push_back(*file);
    return {};
}

// The moment ends with this call, so that the logs can be reset while the rest is written.
Result<BackupManifest> copy_moment(const Store& store,
                                   const std::string& dir,
                                   WallTime now,
                                   const std::function<bool()>& goes_on) {
    auto moment = store.pin();
    RETURN_IF_ERROR(moment);
    auto manifest = describe(*moment->control.database, now);
    RETURN_IF_ERROR(manifest);
    RETURN_IF_ERROR(copy_database(*moment->control.database, dir, goes_on, *manifest));
    for (auto& [month, file] : moment->months)
        RETURN_IF_ERROR(copy_database(*file.database, dir, goes_on, *manifest));
    return manifest;
}

// The databases of a backup, and what is wrong with them.
class Verification {
  public:
    Verification(const std::string& dir, BackupManifest manifest) : dir_(dir) {
        report_.manifest = std::move(manifest);
    }

    Status run() {
        check_files();
        if (!report_.faults.empty()) return {};
        RETURN_IF_ERROR(open_all());
        if (!report_.faults.empty()) return {};
        RETURN_IF_ERROR(check_identity());
        return check_books();
    }

    BackupReport take() { return std::move(report_); }

  private:
    void note(std::string fault) { report_.faults.push_back(std::move(fault)); }

    void check_file(const BackupFile& expected);
    void check_files();
    Status open_all();
    Status check_database(Database& database, std::string_view kind);
    Status check_identity();
    Status check_books();

    const std::string& dir_;
    BackupReport report_;
    std::unique_ptr<Database> control_;
    std::map<std::string, std::unique_ptr<Database>, std::greater<>> months_;  // newest first
};

void Verification::check_file(const BackupFile& expected) {
    const auto found = measure_file(dir_, expected.name);
    if (!found) return note(found.error().message);
    if (found->size_bytes != expected.size_bytes)
        return note(expected.name + ": expected " + std::to_string(expected.size_bytes) +
                    " bytes, found " + std::to_string(found->size_bytes));
    if (found->sha256 != expected.sha256)
        note(expected.name + ": expected SHA-256 " + expected.sha256 + ", found " + found->sha256);
}

void Verification::check_files() {
    std::set<std::string> known = {std::string(kManifestFile)};
    for (const BackupFile& file : report_.manifest.files) {
        const bool is_database = file.name == kControlFile || month_of_file(file.name);
        if (!is_database || !known.insert(file.name).second) {
            note("the manifest lists '" + file.name + "', which is no database, or lists it twice");
            continue;
        }
        check_file(file);
    }
    if (!known.contains(std::string(kControlFile))) note("the manifest lists no control.db");
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(dir_, failed)) {
        const std::string name = entry.path().filename().string();
        if (!known.contains(name)) note(name + " is not of this backup");
    }
    if (failed) note(dir_ + ": " + failed.message());
}

Status Verification::open_all() {
    for (const BackupFile& file : report_.manifest.files) {
        auto database = Database::open(dir_ + "/" + file.name, Database::Access::kRead);
        RETURN_IF_ERROR(database);
        const auto month = month_of_file(file.name);
        RETURN_IF_ERROR(check_database(**database, month ? "usage" : "control"));
        (month ? months_[*month] : control_) = std::move(*database);
    }
    return {};
}

Status Verification::check_database(Database& database, std::string_view kind) {
    const bool is_control = kind == "control";
    const std::string name = fs::path(database.path()).filename().string();
    Statement integrity = database.prepare("PRAGMA integrity_check(1)");
    if (integrity.step() && integrity.text(0) != "ok") note(name + ": " + integrity.text(0));
    RETURN_IF_ERROR(integrity.status());
    Statement foreign = database.prepare("PRAGMA foreign_key_check");
    if (foreign.step()) note(name + ": a row of " + foreign.text(0) + " refers to none");
    RETURN_IF_ERROR(foreign.status());
    const auto version =
        check_migrations(database, is_control ? migrations::control() : migrations::usage(),
                         is_control ? kControlApplicationId : kUsageApplicationId);
    if (!version) {
        note(version.error().message);
        return {};
    }
    const BackupManifest& manifest = report_.manifest;
    const std::int64_t expected = is_control ? manifest.control_schema : manifest.usage_schema;
    if (static_cast<std::int64_t>(*version) != expected)
        note(name + ": expected schema " + std::to_string(expected) + ", found " +
             std::to_string(*version));
    return {};
}

Status Verification::check_identity() {
    const BackupManifest& manifest = report_.manifest;
    const auto identity = read_identity(*control_);
    RETURN_IF_ERROR(identity);
    if (identity->store_id != manifest.store_id || identity->revision != manifest.revision)
        note("control.db is revision " + std::to_string(identity->revision) + " of store " +
             identity->store_id + ", expected revision " + std::to_string(manifest.revision) +
             " of " + manifest.store_id);
    const auto audit = verify_audit(*control_, identity->founded_as);
    RETURN_IF_ERROR(audit);
    if (audit->fault) {
        note(*audit->fault);
    } else if (audit->head != manifest.audit.head) {
        note("the audit's head is " + audit->head + ", expected " + manifest.audit.head);
    }
    return {};
}

Status Verification::check_books() {
    const auto identity = read_identity(*control_);
    RETURN_IF_ERROR(identity);
    const OpenBooks books{*control_, identity->founded_as,
                          [this](const MonthVisitor& visitor) -> Status {
                              for (auto& [month, file] : months_) {
                                  const auto goes_on = visitor(month, *file);
                                  RETURN_IF_ERROR(goes_on);
                                  if (!*goes_on) break;
                              }
                              return {};
                          }};
    auto found = reconcile_books(books);
    RETURN_IF_ERROR(found);
    report_.books = std::move(*found);
    for (const Misfit& misfit : report_.books.misfits) {
        if (misfit.check != "quarantine") note(misfit.check + ": " + misfit.what);
    }
    const ChainMark& ledger = report_.manifest.ledger;
    if (report_.books.chain_head != ledger.head || report_.books.num_links != ledger.num_links)
        note("the ledger has " + std::to_string(report_.books.num_links) + " links with head " +
             report_.books.chain_head + ", expected " + std::to_string(ledger.num_links) +
             " with " + ledger.head);
    return {};
}

}  // namespace

Result<BackupManifest> create_backup(Store& store,
                                     const std::string& dir,
                                     WallTime now,
                                     const std::function<bool()>& goes_on) {
    RETURN_IF_ERROR(check_new_path(dir));
    auto partial = PartialDirectory::make(dir);
    RETURN_IF_ERROR(partial);
    auto manifest = copy_moment(store, partial->path(), now, goes_on);
    RETURN_IF_ERROR(manifest);
    RETURN_IF_ERROR(write_new_file(partial->path() + "/" + std::string(kManifestFile),
                                   write_backup_manifest(*manifest)));
    RETURN_IF_ERROR(sync_path(partial->path()));
    RETURN_IF_ERROR(partial->rename_to(dir));
    RETURN_IF_ERROR(sync_path(fs::path(dir).parent_path().string()));
    RETURN_IF_ERROR(note_action(
        store, "backup.create", dir,
        "revision " + std::to_string(manifest->revision) + ", ledger head " + manifest->ledger.head,
        now));
    return manifest;
}

Result<BackupReport> verify_backup(const std::string& dir) {
    const auto text = read_file("the backup's manifest", dir + "/" + std::string(kManifestFile));
    RETURN_IF_ERROR(text);
    auto manifest = parse_backup_manifest(*text);
    RETURN_IF_ERROR(manifest);
    Verification verification(dir, std::move(*manifest));
    RETURN_IF_ERROR(verification.run());
    return verification.take();
}

}  // namespace turnpike::controlplane
