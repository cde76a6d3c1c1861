// The control plane at work: store, driver, reconcile loop and the two HTTP servers, until it is
// told to end.
#pragma once

#include <functional>

#include "config/base/build_info.h"
#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/result.h"
#include "controlplane/serve/settings.h"

namespace turnpike::controlplane {

// Serves from the call of `until_told` until that returns; replicas keep running afterwards. The
// error says why serving could not begin.
Status serve(const ControlplaneSettings& settings,
             const BuildInfo& build,
             const Clock& clock,
             Log& log,
             const std::function<void()>& until_told);

}  // namespace turnpike::controlplane
