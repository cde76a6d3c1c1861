// The schema changes of both kinds of database, embedded at build, oldest first. Forward only:
// a file that was released never changes (the store refuses a database where it did).
#pragma once

#include <span>
#include <string_view>

namespace turnpike::migrations {

struct Migration {
    int number;             // 1, 2, 3, ... without a gap
    std::string_view name;  // "0001_identity"
    std::string_view sql;
};

// Of control.db.
std::span<const Migration> control();
// Of each usage-YYYY-MM.db.
std::span<const Migration> usage();

}  // namespace turnpike::migrations
