#include "controlplane/store/moment.h"

#include <utility>

namespace turnpike::controlplane {

Result<PinnedDatabase> pin_database(const std::string& path) {
    auto database = Database::open(path, Database::Access::kRead);
    RETURN_IF_ERROR(database);
    auto view = Transaction::begin(**database, Transaction::Kind::kDeferred);
    RETURN_IF_ERROR(view);
    // A deferred transaction has no snapshot before its first read.
    RETURN_IF_ERROR((*database)->prepare("SELECT count(*) FROM sqlite_schema").run());
    return PinnedDatabase{std::move(*database), std::move(*view)};
}

}  // namespace turnpike::controlplane
