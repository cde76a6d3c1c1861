// `turnpike backup`: see ops/docs/formats/backup.md.
#pragma once

#include <string>

#include "controlplane/cli/verbs.h"

namespace turnpike::controlplane::cli {

// `admin`: as the flag of that name. `dir`: on the control plane's host; relative to where we are.
int create_backup(const std::string& admin, const std::string& dir, Output output);

}  // namespace turnpike::controlplane::cli
