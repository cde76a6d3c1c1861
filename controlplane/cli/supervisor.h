// Supervisor: `turnpike up`: starts the control plane and the gateway of one state directory,
// starts again what dies, replaces both by new processes on SIGHUP, and ends everything on SIGINT
// or SIGTERM.
#pragma once

#include <string>

namespace turnpike::controlplane::cli {

// Runs until a signal. `binary_dir` holds turnpike-controlplane and turnpike-gateway; see
// ops/docs/formats/settings.md for the directory. Returns an exit code.
int run_supervisor(const std::string& state_dir, const std::string& binary_dir);

// `turnpike upgrade`: has the `turnpike up` of that directory replace "controlplane", "gateway" or
// "all", one after the other, and waits for the outcome. Returns an exit code.
int run_upgrade(const std::string& state_dir, const std::string& what);

}  // namespace turnpike::controlplane::cli
