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

struct ServeHooks {
    std::function<void()> on_serving;  // once
    // Returns when this process is to end, or when `wake` was called.
    std::function<void()> until_told;
    std::function<void()> wake;  // from another thread
    // Each time that the reconcile loop comes around, on its thread; may be empty.
    std::function<void()> on_turn;
};

// Serves from the call of `until_told` until that returns, or until another process has taken over;
// replicas keep running afterwards. When a control plane answers at the settings' handover socket,
// this one takes over from it. The error says why serving could not begin.
Status serve(const ControlplaneSettings& settings,
             const BuildInfo& build,
             const Clock& clock,
             Log& log,
             const ServeHooks& hooks);

}  // namespace turnpike::controlplane
