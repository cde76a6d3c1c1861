// manifest.json of a backup: what was copied, and what it must be when it is restored. See
// ops/docs/formats/backup.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/result.h"

namespace turnpike::controlplane {

inline constexpr std::string_view kManifestFile = "manifest.json";

struct BackupFile {
    std::string name;  // "control.db", "usage-2026-11.db"
    std::int64_t size_bytes = 0;
    std::string sha256;  // hex
};

// Where a hash chain stood.
struct ChainMark {
    std::int64_t num_links = 0;  // without link 0
    std::string head;            // hex
};

struct BackupManifest {
    std::string store_id;
    std::int64_t revision = 0;
    std::string created_at;  // RFC 3339
    std::int64_t control_schema = 0;
    std::int64_t usage_schema = 0;
    ChainMark ledger;
    ChainMark audit;
    std::vector<BackupFile> files;  // control.db first
};

// Indented JSON with a line end.
std::string write_backup_manifest(const BackupManifest& manifest);

// kCorrupt says what was expected and what was found; also for a format that is newer, and for a
// file's name that leads out of the directory.
Result<BackupManifest> parse_backup_manifest(std::string_view text);

}  // namespace turnpike::controlplane
