// ThreadPool: runs one loop at a time over a fixed set of threads, for the ops of the CPU backends.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace turnpike::kernels {

class ThreadPool {
  public:
    // body(begin, end) handles the items of one contiguous range; it must not throw.
    using Body = std::function<void(std::int64_t begin, std::int64_t end)>;

    // num_threads counts the calling thread, so 1 starts none.
    explicit ThreadPool(int num_threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int num_threads() const { return static_cast<int>(workers_.size()) + 1; }

    // Runs body over [0, count) and returns when all of it is done. Called by one thread at a time.
    // A loop of less than kMinWork in all runs on the caller alone: waking a thread costs more.
    void run(std::int64_t count, std::int64_t work_per_item, const Body& body);

    static constexpr std::int64_t kMinWork = 1 << 20;  // multiply-adds; about 100 us on one core

  private:
    void work(int index);
    void run_part(int index, std::int64_t count, const Body& body) const;

    std::mutex mutex_;
    std::condition_variable started_;
    std::condition_variable finished_;
    const Body* body_ = nullptr;
    std::int64_t count_ = 0;
    std::uint64_t round_ = 0;
    int num_running_ = 0;
    bool is_stopping_ = false;
    std::vector<std::thread> workers_;
};

}  // namespace turnpike::kernels
