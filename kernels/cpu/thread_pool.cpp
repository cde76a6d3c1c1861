// See thread_pool.h.
#include "kernels/cpu/thread_pool.h"

#include "config/base/check.h"
#include "kernels/api/cpu.h"

namespace turnpike::kernels {
namespace {

constexpr int kSpins = 8000;  // a pause is 40 to 140 cycles: 100 to 300 us

void pause_core() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

}  // namespace

// Returns when value differs from `old`: by spinning, then asleep in the kernel.
std::uint32_t ThreadPool::wait_for_change(const std::atomic<std::uint32_t>& value,
                                          std::uint32_t old) const {
    for (int spin = 0; spin < num_spins_; ++spin) {
        const std::uint32_t now = value.load(std::memory_order_acquire);
        if (now != old) return now;
        pause_core();
    }
    value.wait(old, std::memory_order_acquire);
    return value.load(std::memory_order_acquire);
}

ThreadPool::ThreadPool(int num_threads)
    : num_spins_(num_threads <= num_allowed_cores() ? kSpins : 0),
      taken_(static_cast<std::size_t>(num_threads)),
      shares_(static_cast<std::size_t>(num_threads)) {
    CHECK(num_threads >= 1);
    for (int index = 1; index < num_threads; ++index) {
        workers_.emplace_back([this, index] { work(index); });
    }
}

ThreadPool::~ThreadPool() {
    is_stopping_.store(true);
    round_.fetch_add(1);
    round_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::start() {
    if (workers_.empty()) return;
    num_running_.store(static_cast<std::uint32_t>(workers_.size()), std::memory_order_relaxed);
    round_.fetch_add(1);
    round_.notify_all();
}

void ThreadPool::finish() {
    if (workers_.empty()) return;
    const std::uint32_t round = round_.load(std::memory_order_relaxed);
    for (int index = 1; index < num_threads(); ++index) {
        if (!take(index, round)) continue;
        call_(context_, index, num_threads());
        num_running_.fetch_sub(1, std::memory_order_acq_rel);
    }
    std::uint32_t running = num_running_.load(std::memory_order_acquire);
    while (running != 0) running = wait_for_change(num_running_, running);
}

bool ThreadPool::take(int index, std::uint32_t round) {
    std::uint32_t before = round - 1;
    return taken_[static_cast<std::size_t>(index)].compare_exchange_strong(before, round);
}

void ThreadPool::work(int index) {
    std::uint32_t seen = 0;
    while (true) {
        seen = wait_for_change(round_, seen);
        if (is_stopping_.load()) return;
        if (!take(index, seen)) continue;
        call_(context_, index, num_threads());
        if (num_running_.fetch_sub(1, std::memory_order_acq_rel) == 1) num_running_.notify_one();
    }
}

}  // namespace turnpike::kernels
