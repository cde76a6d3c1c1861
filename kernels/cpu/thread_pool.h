// ThreadPool: runs one loop at a time over a fixed set of threads, for the ops of the CPU backends.
// Between loops a thread spins for about 100 us, then sleeps: the loops of one step follow each
// other within microseconds, and waking a thread costs about 20.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace turnpike::kernels {

class ThreadPool {
  public:
    // num_threads counts the calling thread, so 1 starts none.
    explicit ThreadPool(int num_threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int num_threads() const { return static_cast<int>(workers_.size()) + 1; }

    // Runs body(begin, end) over [0, count), one contiguous range for each thread, and returns when
    // all of it is done. body must not throw. Called by one thread at a time. A loop of less than
    // kMinWork multiply-adds in all runs on the caller alone.
    template <class Body>
    void run(std::int64_t count, std::int64_t work_per_item, const Body& body) {
        const bool is_small = workers_.empty() || count < 2 || count * work_per_item < kMinWork;
        if (is_small) {
            if (count > 0) body(std::int64_t{0}, count);
            return;
        }
        run_parts([count, &body](std::int64_t part, std::int64_t parts) {
            const std::int64_t begin = count * part / parts;
            const std::int64_t end = count * (part + 1) / parts;
            if (begin < end) body(begin, end);
        });
    }

    // Runs body(part, num_threads()) once on every thread, the caller's being part 0.
    template <class Body>
    void run_parts(const Body& body) {
        call_ = [](const void* context, std::int64_t part, std::int64_t parts) {
            (*static_cast<const Body*>(context))(part, parts);
        };
        context_ = &body;
        start();
        body(std::int64_t{0}, static_cast<std::int64_t>(num_threads()));
        finish();
    }

    static constexpr std::int64_t kMinWork = 1 << 15;  // a few microseconds on one core

  private:
    using Call = void (*)(const void* context, std::int64_t part, std::int64_t parts);

    void start();
    void finish();
    void work(int index);
    bool take(int index, std::uint32_t round);
    std::uint32_t wait_for_change(const std::atomic<std::uint32_t>& value, std::uint32_t old) const;

    const int num_spins_;  // none where threads outnumber cores
    Call call_ = nullptr;
    const void* context_ = nullptr;
    alignas(64) std::atomic<std::uint32_t> round_{0};  // a loop's number; the last one stops
    alignas(64) std::atomic<std::uint32_t> num_running_{0};
    std::atomic<bool> is_stopping_{false};
    // Of each worker's part, the last round in which somebody took it: the worker, or the caller,
    // who does the part of a worker that another process keeps from its core.
    std::vector<std::atomic<std::uint32_t>> taken_;
    std::vector<std::thread> workers_;
};

}  // namespace turnpike::kernels
