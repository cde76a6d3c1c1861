// BuildInfo: which build a process is, as its metrics and its health route tell it, so that
// processes of different builds are seen. Its main fills it in from its commit.h.
#pragma once

#include <string>
#include <string_view>

#include "config/base/metrics.h"

namespace turnpike {

struct BuildInfo {
    std::string version = "unknown";
    std::string commit = "unknown";
};

// turnpike_build_info, which is always 1. `process`: "gateway", "controlplane" or "engine".
void write_build_info(MetricsText& out, std::string_view process, const BuildInfo& build);

}  // namespace turnpike
