// See thread_pool.h.
#include "kernels/cpu/thread_pool.h"

#include "config/base/check.h"

namespace turnpike::kernels {

ThreadPool::ThreadPool(int num_threads) {
    CHECK(num_threads >= 1);
    for (int index = 1; index < num_threads; ++index) {
        workers_.emplace_back([this, index] { work(index); });
    }
}

ThreadPool::~ThreadPool() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    started_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(std::int64_t count, std::int64_t work_per_item, const Body& body) {
    if (workers_.empty() || count < 2 || count * work_per_item < kMinWork) {
        if (count > 0) body(0, count);
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        body_ = &body;
        count_ = count;
        num_running_ = static_cast<int>(workers_.size());
        ++round_;
    }
    started_.notify_all();
    run_part(0, count, body);
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [this] { return num_running_ == 0; });
}

void ThreadPool::work(int index) {
    std::uint64_t seen = 0;
    std::unique_lock lock(mutex_);
    while (true) {
        started_.wait(lock, [&] { return is_stopping_ || round_ != seen; });
        if (is_stopping_) return;
        seen = round_;
        const Body& body = *body_;
        const std::int64_t count = count_;
        lock.unlock();
        run_part(index, count, body);
        lock.lock();
        if (--num_running_ == 0) finished_.notify_one();
    }
}

void ThreadPool::run_part(int index, std::int64_t count, const Body& body) const {
    const std::int64_t begin = count * index / num_threads();
    const std::int64_t end = count * (index + 1) / num_threads();
    if (begin < end) body(begin, end);
}

}  // namespace turnpike::kernels
