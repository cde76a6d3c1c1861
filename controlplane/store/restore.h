// A store from a backup: see ops/docs/formats/backup.md.
#pragma once

#include <string>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "controlplane/store/backup.h"

namespace turnpike::controlplane {

struct RestoredStore {
    BackupReport backup;
    std::string store_id;  // a new one
};

// Verifies the backup, copies it into `data_dir`, which is made when there is none, and gives the
// copy a new store id, so that no gateway takes its revisions for those that it knows. kCorrupt
// when something is wrong with the backup; kConflict when the directory has a database, or somebody
// uses it. What a crash leaves is made anew by the next call; control.db comes last.
Result<RestoredStore> restore_backup(const std::string& backup_dir,
                                     const std::string& data_dir,
                                     WallTime now);

}  // namespace turnpike::controlplane
