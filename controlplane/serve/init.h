// What must stand before the control plane serves: directories, the pepper file, the databases.
#pragma once

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/result.h"
#include "controlplane/serve/settings.h"

namespace turnpike::controlplane {

// data_dir, run_dir and the pepper file's directory, open to this user alone where they are made
// now. Also called by serve, since run_dir may lie under /tmp.
Status make_directories(const ControlplaneSettings& settings);

// Directories, a pepper file where there is none, migrated databases. Idempotent.
Status init(const ControlplaneSettings& settings, const Clock& clock, Log& log);

}  // namespace turnpike::controlplane
