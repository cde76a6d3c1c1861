#include "engine/serve/work_queue.h"

#include <utility>

namespace turnpike::engine {

WorkQueue::WorkQueue() : thread_([this] { run(); }) {}

void WorkQueue::stop() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void WorkQueue::push(std::function<void()> task) {
    {
        const std::lock_guard lock(mutex_);
        if (is_stopped_) return;
        tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
}

void WorkQueue::run() {
    std::deque<std::function<void()>> taken;
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return is_stopping_ || !tasks_.empty(); });
            if (tasks_.empty()) {
                is_stopped_ = true;
                return;
            }
            taken.swap(tasks_);
        }
        for (const auto& task : taken) task();
        taken.clear();
    }
}

}  // namespace turnpike::engine
