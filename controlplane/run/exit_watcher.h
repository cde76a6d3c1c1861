// ExitWatcher: calls back soon after any of the watched processes ends, children or not. One
// thread over pidfds; it neither reaps nor tells which process it was.
#pragma once

#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "config/base/unique_handle.h"
#include "controlplane/run/process_identity.h"

namespace turnpike::controlplane {

class ExitWatcher {
  public:
    // `on_exit` runs on the watcher's thread and must not block.
    explicit ExitWatcher(std::function<void()> on_exit);
    ~ExitWatcher();
    ExitWatcher(const ExitWatcher&) = delete;
    ExitWatcher& operator=(const ExitWatcher&) = delete;

    // Thread-safe. A process that has ended already calls back at once.
    void watch(const ProcessIdentity& identity);

  private:
    void run();
    void signal_thread();

    const std::function<void()> on_exit_;
    UniqueFd wake_;  // eventfd
    std::mutex mutex_;
    std::vector<UniqueFd> added_;  // guarded by mutex_
    bool is_stopping_ = false;     // guarded by mutex_
    std::thread thread_;
};

}  // namespace turnpike::controlplane
