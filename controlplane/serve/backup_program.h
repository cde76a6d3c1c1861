// What turnpike-controlplane does with backups instead of serving. Needs no settings and no control
// plane; see ops/docs/formats/backup.md.
#pragma once

#include <string>

#include "config/base/clock.h"
#include "config/base/result.h"

namespace turnpike::controlplane {

// Prints what is right; an error with every fault, a line each.
Status print_verified_backup(const std::string& dir);
Status print_restored_backup(const std::string& dir,
                             const std::string& data_dir,
                             const Clock& clock);

}  // namespace turnpike::controlplane
