// A moment of the store: every database as it was then, readable while others write. Whoever holds
// one keeps the write-ahead logs from being reset, so not for longer than it takes.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "config/base/result.h"
#include "controlplane/store/sqlite.h"

namespace turnpike::controlplane {

struct PinnedDatabase {
    std::unique_ptr<Database> database;
    Transaction view;  // of `database`
};

struct StoreMoment {
    PinnedDatabase control;
    std::map<std::string, PinnedDatabase> months;  // "2026-11"
};

// Opens the file for reading and begins a view of it.
Result<PinnedDatabase> pin_database(const std::string& path);

}  // namespace turnpike::controlplane
