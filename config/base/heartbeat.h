// Heartbeat: feeds the watchdog of a process whose loops all turn. A loop that is stuck is not made
// up for by others that are not: nothing is fed until it turns again.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

#include "config/base/clock.h"
#include "config/base/notify.h"

namespace turnpike {

class Heartbeat {
  public:
    // Both outlive it. At first it waits for one turn of every loop.
    Heartbeat(const Notifier& notifier, const Clock& clock) : notifier_(notifier), clock_(clock) {}

    // One more loop to wait for; its index. Before any turned().
    std::size_t add_loop();

    // That loop has come around; to be told several times in a third of the watchdog's period.
    // Feeds once all have since the last feeding, which was a third of the period ago. Any thread.
    void turned(std::size_t loop);

  private:
    const Notifier& notifier_;
    const Clock& clock_;
    std::mutex mutex_;
    std::vector<bool> has_turned_;  // guarded by mutex_: since the last feeding
    SteadyTime next_at_{};          // guarded by mutex_: not fed before
};

}  // namespace turnpike
