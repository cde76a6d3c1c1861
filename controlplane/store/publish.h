// Published rows: what gateways are told, written in the transaction of the change.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "controlplane/api/snapshot.h"
#include "controlplane/store/sqlite.h"

namespace turnpike::controlplane {

// Empty `body`: deleted. A row that is as it was gets no new revision.
Status publish(Database& database,
               std::string_view kind,
               const std::string& id,
               const std::optional<std::string>& body);

// The endpoint's READY replicas as they are in this transaction; deleted when the endpoint is.
Status publish_endpoint(Database& database, const EndpointId& id);

Result<std::int64_t> read_revision(Database& database);

// Which database this is.
struct StoreIdentity {
    std::string store_id;
    std::string founded_as;  // what store_id was at first; the chains begin with it
    std::int64_t revision = 0;
};

Result<StoreIdentity> read_identity(Database& database);

// Rows beyond `after`, in the order of their revisions; without deleted ones when `is_full`.
Result<std::vector<PublishedRow>> read_published(Database& database,
                                                 std::int64_t after,
                                                 bool is_full);

}  // namespace turnpike::controlplane
