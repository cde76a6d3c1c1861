// Verbs on limits. Each prints a table, or the API's own JSON with `is_json`, and returns an exit
// code. See ops/docs/formats/limits.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controlplane/cli/admin_client.h"
#include "controlplane/cli/verbs.h"

namespace turnpike::controlplane::cli {

// As it was typed; what is empty stays as it was.
struct ChangedLimits {
    std::string subject;
    std::optional<std::string> rpm;         // requests per minute
    std::optional<std::string> tpm;         // tokens per minute
    std::optional<std::string> concurrent;  // requests at a time
    std::optional<std::string> monthly;     // USD
    std::vector<std::string> cleared;       // their names
};

// The body of PATCH /admin/v1/limits. kInvalidArgument says what was expected and what was found.
Result<nlohmann::json> changes_of(const ChangedLimits& changed);

// A table of the API's rows.
std::string limits_table(const nlohmann::json& rows);

int set_limits(AdminClient& admin, const ChangedLimits& changed, Output output);
// `subject` empty: everything that has limits.
int show_limits(AdminClient& admin, const std::string& subject, Output output);

}  // namespace turnpike::controlplane::cli
