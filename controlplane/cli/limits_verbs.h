// Verbs on limits. Each prints a table, or the API's own JSON with `is_json`, and returns an exit
// code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/cli/admin_client.h"
#include "controlplane/cli/verbs.h"

namespace turnpike::controlplane::cli {

// What stays unset is left as it is.
struct LimitsChange {
    std::string subject;  // organisation:ID_OR_NAME, key:ID or model:NAME
    std::optional<std::int64_t> requests_per_minute;
    std::optional<std::int64_t> tokens_per_minute;
    std::optional<std::int64_t> concurrent_requests;
    std::string monthly_usd;
    std::vector<std::string> cleared;  // of kLimitNames
};

inline const std::vector<std::string> kLimitNames{"rpm", "tpm", "concurrent", "monthly"};

// `subject` empty: of everybody who has some.
int show_limits(AdminClient& admin, const std::string& subject, Output output);
// kUsage: a change of nothing.
int change_limits(AdminClient& admin, const LimitsChange& change, Output output);

}  // namespace turnpike::controlplane::cli
