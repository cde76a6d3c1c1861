// Verbs on the audit. Each prints a table, or the API's own JSON with `is_json`, and returns an
// exit code. See ops/docs/formats/audit.md.
#pragma once

#include <cstdint>
#include <string>

#include "controlplane/cli/admin_client.h"
#include "controlplane/cli/verbs.h"

namespace turnpike::controlplane::cli {

// `since` as it was typed; empty: from the beginning.
int list_audit(AdminClient& admin, const std::string& since, std::int64_t limit, Output output);
// kFailed when the chain is broken.
int verify_audit(AdminClient& admin, Output output);

}  // namespace turnpike::controlplane::cli
