#include "controlplane/store/restore.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>
#include <vector>

#include "config/crypto/identifiers.h"
#include "controlplane/store/audit.h"
#include "controlplane/store/backup_files.h"
#include "controlplane/store/data_dir.h"
#include "controlplane/store/migrate.h"
#include "controlplane/store/publish.h"

namespace turnpike::controlplane {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCopying = "restoring-";
constexpr const char* kOperator = "operator";
// More than anybody makes between two backups.
constexpr std::int64_t kSkippedPriceVersions = 1'000'000;

std::string path_while_copying(const std::string& data_dir, const std::string& name) {
    return data_dir + "/" + std::string(kCopying) + name;
}

// What an attempt left that did not end goes: copies, and usage files that it had moved already
// while control.db, which is moved last, was still a copy. Any other database stays and is told.
Status clear_data_dir(const std::string& data_dir) {
    std::error_code failed;
    const bool is_unfinished =
        fs::exists(path_while_copying(data_dir, std::string(kControlFile)), failed) &&
        !fs::exists(control_path(data_dir), failed);
    std::vector<fs::path> leftovers;
    for (const auto& entry : fs::directory_iterator(data_dir, failed)) {
        const std::string name = entry.path().filename().string();
        const bool is_month = month_of_file(name).has_value();
        if (name == kControlFile || (is_month && !is_unfinished)) {
            return Error{ErrorCode::kConflict,
                         data_dir + " has a database already (" + name +
                             "): restore into a directory without one",
                         {}};
        }
        if (is_month || name.starts_with(kCopying)) leftovers.push_back(entry.path());
    }
    for (const fs::path& path : leftovers) {
        if (!failed) fs::remove(path, failed);
    }
    if (failed) return Error{ErrorCode::kIo, data_dir + ": " + failed.message(), {}};
    return {};
}

Status copy_checked(const std::string& from, const std::string& to, const BackupFile& expected) {
    const auto copied = copy_file(from, to);
    RETURN_IF_ERROR(copied);
    if (copied->sha256 == expected.sha256) return {};
    return Error{ErrorCode::kCorrupt, from + " changed while it was copied", {}};
}

// Versions that the lost store gave away after the backup may stand in records that a gateway still
// has. They must stay unknown, and not come to name other prices.
Status skip_price_versions(Database& control) {
    RETURN_IF_ERROR(
        control.prepare("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'prices'")
            .bind(kSkippedPriceVersions)
            .run());
    if (control.num_changed() > 0) return {};
    return control.prepare("INSERT INTO sqlite_sequence (name, seq) VALUES ('prices', ?)")
        .bind(kSkippedPriceVersions)
        .run();
}

// The old id is kept as founded_as: with it the chains begin.
Status give_new_id(const std::string& path,
                   const BackupManifest& manifest,
                   const std::string& store_id,
                   WallTime now) {
    auto control = Database::open(path, Database::Access::kWrite);
    RETURN_IF_ERROR(control);
    RETURN_IF_ERROR(migrate(**control, migrations::control(), kControlApplicationId, now));
    auto transaction = Transaction::begin(**control, Transaction::Kind::kImmediate);
    RETURN_IF_ERROR(transaction);
    RETURN_IF_ERROR((*control)->prepare("UPDATE identity SET store_id = ?").bind(store_id).run());
    RETURN_IF_ERROR(skip_price_versions(**control));
    RETURN_IF_ERROR(write_audit(**control, kOperator, "store.restore", store_id,
                                "from the backup of " + manifest.created_at + " of store " +
                                    manifest.store_id + ", revision " +
                                    std::to_string(manifest.revision),
                                now));
    return transaction->commit();
}

Status move_into_place(const std::string& data_dir, const std::string& name) {
    const std::string from = path_while_copying(data_dir, name);
    if (std::rename(from.c_str(), (data_dir + "/" + name).c_str()) != 0)
        return errno_error("cannot rename " + from);
    return {};
}

Status copy_all(const std::string& backup_dir,
                const std::string& data_dir,
                const BackupManifest& manifest) {
    for (const BackupFile& file : manifest.files) {
        RETURN_IF_ERROR(copy_checked(backup_dir + "/" + file.name,
                                     path_while_copying(data_dir, file.name), file));
    }
    return {};
}

// Without control.db the rest is no store: it comes when everything else is on the disk.
Status move_all(const std::string& data_dir, const BackupManifest& manifest) {
    for (const BackupFile& file : manifest.files) {
        if (file.name != kControlFile) RETURN_IF_ERROR(move_into_place(data_dir, file.name));
    }
    RETURN_IF_ERROR(sync_path(data_dir));
    RETURN_IF_ERROR(move_into_place(data_dir, std::string(kControlFile)));
    return sync_path(data_dir);
}

}  // namespace

Result<RestoredStore> restore_backup(const std::string& backup_dir,
                                     const std::string& data_dir,
                                     WallTime now) {
    auto report = verify_backup(backup_dir);
    RETURN_IF_ERROR(report);
    if (!report->faults.empty())
        return Error{ErrorCode::kCorrupt, backup_dir + ": " + report->faults.front(), {}};
    const auto lock = lock_data_dir(data_dir);
    RETURN_IF_ERROR(lock);
    RETURN_IF_ERROR(clear_data_dir(data_dir));
    RETURN_IF_ERROR(copy_all(backup_dir, data_dir, report->manifest));
    std::string store_id = crypto::new_request_id(now).value();
    RETURN_IF_ERROR(give_new_id(path_while_copying(data_dir, std::string(kControlFile)),
                                report->manifest, store_id, now));
    RETURN_IF_ERROR(sync_path(path_while_copying(data_dir, std::string(kControlFile))));
    RETURN_IF_ERROR(move_all(data_dir, report->manifest));
    return RestoredStore{std::move(*report), std::move(store_id)};
}

}  // namespace turnpike::controlplane
