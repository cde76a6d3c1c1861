// Files of backups: measured, copied and brought to the disk.
#pragma once

#include <string>

#include "config/base/result.h"
#include "controlplane/api/backup_manifest.h"

namespace turnpike::controlplane {

// Size and SHA-256 of `dir`/`name`.
Result<BackupFile> measure_file(const std::string& dir, const std::string& name);
// Writes a new file of mode 0600 and flushes it to the disk; the result is what was copied.
Result<BackupFile> copy_file(const std::string& from, const std::string& to);
Status write_new_file(const std::string& path, const std::string& text);
// Flushes a file, or a directory's names, to the disk.
Status sync_path(const std::string& path);

}  // namespace turnpike::controlplane
