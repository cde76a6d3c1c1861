#include "config/base/heartbeat.h"

#include <algorithm>

namespace turnpike {

std::size_t Heartbeat::add_loop() {
    const std::lock_guard lock(mutex_);
    has_turned_.push_back(false);
    return has_turned_.size() - 1;
}

void Heartbeat::turned(std::size_t loop) {
    if (notifier_.watchdog().count() == 0) return;
    const std::lock_guard lock(mutex_);
    has_turned_.at(loop) = true;
    const SteadyTime now = clock_.steady_now();
    const bool have_all =
        std::all_of(has_turned_.begin(), has_turned_.end(), [](bool turned) { return turned; });
    if (!have_all || now < next_at_ || !notifier_.feed()) return;
    std::fill(has_turned_.begin(), has_turned_.end(), false);
    next_at_ = now + notifier_.watchdog() / 3;
}

}  // namespace turnpike
