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

// Rows beyond `after`, in the order of their revisions; without deleted ones when `is_full`.
Result<std::vector<PublishedRow>> read_published(Database& database,
                                                 std::int64_t after,
                                                 bool is_full);

// One row of the audit.
Status write_audit(Database& database,
                   const std::string& actor,
                   const std::string& action,
                   const std::string& subject,
                   const std::string& detail,
                   WallTime now);

}  // namespace turnpike::controlplane
