// InterruptWatcher: Ctrl-C as a call on a thread of its own, instead of the end of the program.
#pragma once

#include <csignal>
#include <functional>
#include <thread>

#include "config/base/unique_handle.h"

namespace turnpike::gateway::client {

class InterruptWatcher {
  public:
    // Blocks SIGINT in the calling thread and in those that it starts later: made before any other
    // thread. `on_interrupt` runs on the watcher's thread, once for each Ctrl-C.
    explicit InterruptWatcher(std::function<void()> on_interrupt);
    ~InterruptWatcher();
    InterruptWatcher(const InterruptWatcher&) = delete;
    InterruptWatcher& operator=(const InterruptWatcher&) = delete;

  private:
    void watch();

    std::function<void()> on_interrupt_;
    sigset_t mask_before_{};
    UniqueFd signals_;
    UniqueFd stop_;
    std::thread thread_;
};

}  // namespace turnpike::gateway::client
