#include "engine/core/draft_gate.h"

#include <algorithm>

namespace turnpike::engine {
namespace {

// How far the estimate moves towards a draft's outcome. Probes are few: each says more.
constexpr double kOpenWeight = 1.0 / 8;
constexpr double kClosedWeight = 1.0 / 2;

}  // namespace

bool DraftGate::take_step() {
    const bool was_due = is_due();
    num_unasked_ = was_due ? 0 : num_unasked_ + 1;
    return was_due;
}

std::int32_t DraftGate::depth(std::int32_t most) const {
    if (!is_adaptive_) return most;
    std::int32_t depth = 1;
    for (double odds = estimate_ * estimate_; depth < most && odds >= kCloseBelow && is_open_;
         odds *= estimate_)
        ++depth;
    return depth;
}

void DraftGate::learn(bool was_accepted) {
    const double outcome = was_accepted ? 1.0 : 0.0;
    estimate_ += (outcome - estimate_) * (is_open_ ? kOpenWeight : kClosedWeight);
    if (!is_adaptive_) return;
    if (is_open_) {
        learn_open();
    } else {
        learn_closed(was_accepted);
    }
}

void DraftGate::learn_open() {
    if (estimate_ >= kCloseBelow) return;
    is_open_ = false;
    interval_ = kFirstInterval;
    num_unasked_ = 0;
}

void DraftGate::learn_closed(bool was_accepted) {
    if (estimate_ >= kOpenFrom) {
        is_open_ = true;
    } else if (was_accepted) {
        num_unasked_ = interval_;  // the next step is due
    } else {
        interval_ = std::min(2 * interval_, kLongestInterval);
        num_unasked_ = 0;
    }
}

}  // namespace turnpike::engine
