#include "engine/serve/ticker.h"

#include <utility>

namespace turnpike::engine {

Ticker::Ticker(std::chrono::milliseconds period, std::function<void()> on_tick)
    : period_(period), on_tick_(std::move(on_tick)), thread_([this] { run(); }) {}

void Ticker::stop() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void Ticker::run() {
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            if (wake_.wait_for(lock, period_, [this] { return is_stopping_; })) return;
        }
        on_tick_();
    }
}

}  // namespace turnpike::engine
