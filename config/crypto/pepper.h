// Peppers: versioned secrets under which API keys are stored as HMAC-SHA-256. The file is
// JSON-free: one "<version> <64 hex>" per line, newest last, mode 0600; the last version makes new
// keys.
#pragma once

#include <map>
#include <string>

#include "config/base/result.h"
#include "config/base/secret.h"

namespace turnpike::crypto {

struct Peppers {
    std::map<int, Secret> by_version;  // 32 raw bytes each

    int current() const { return by_version.rbegin()->first; }
};

// Refuses an empty file, a repeated version, a value that is not 32 bytes and a file that others
// may read; the group may, of a file in CREDENTIALS_DIRECTORY (systemd.exec(5)).
Result<Peppers> load_peppers(const std::string& path);

// Creates the file with one random version 1; kConflict when it exists.
Status create_pepper_file(const std::string& path);

}  // namespace turnpike::crypto
