// `turnpike doctor`: looks at everything that a service on this host needs, and says what to do.
#pragma once

#include <string>
#include <vector>

#include "config/base/build_info.h"
#include "controlplane/cli/verbs.h"

namespace turnpike::controlplane::cli {

struct DoctorOptions {
    std::vector<std::string> settings;  // files; empty: those of .turnpike/ that are there
    std::string admin;                  // as --admin; empty: as find_admin_address() finds it
    std::string binary_dir;             // where turnpike-gateway and its siblings are
    BuildInfo build;                    // of this program
    Output output;
};

// Prints every check. kFailed when one has failed.
int run_doctor(const DoctorOptions& options);

}  // namespace turnpike::controlplane::cli
