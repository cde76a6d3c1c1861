// Backups: one moment of the store in a directory, made while it serves, and verified without it.
// See ops/docs/formats/backup.md; restore.h makes a store of one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "controlplane/api/backup_manifest.h"
#include "controlplane/store/reconcile.h"

namespace turnpike::controlplane {

class Store;

// Writes the backup under another name beside `dir`, flushes it to the disk and renames it whole.
// kInvalidArgument for a path that is not absolute, kConflict when it exists, kUnavailable
// once `goes_on`, which is asked now and then, says no. Audited. Blocks for as long as the copies
// take; writes of others wait for a moment only.
Result<BackupManifest> create_backup(Store& store,
                                     const std::string& dir,
                                     WallTime now,
                                     const std::function<bool()>& goes_on);

struct BackupReport {
    BackupManifest manifest;
    Reconciliation books;
    std::vector<std::string> faults;  // in words; empty: it can be restored
};

// Hashes, SQLite's own check, schemas, identity, both chains and the books, as `turnpike billing
// reconcile` checks them; records in quarantine are no fault of a backup. Writes nothing. An error
// when there is no manifest that can be read.
Result<BackupReport> verify_backup(const std::string& dir);

}  // namespace turnpike::controlplane
