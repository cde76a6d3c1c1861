// ThreadPool: runs one loop at a time over a fixed set of threads, for the ops of the CPU backends.
// Between loops a thread spins for about 100 us, then sleeps: the loops of one step follow each
// other within microseconds, and waking a thread costs about 20.
//
// Each thread has a contiguous share of a loop and works on it from the front, so that it reads
// weights as one stream; a thread that is done takes over the ends of the others' shares.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

#include "config/base/check.h"

namespace turnpike::kernels {

class ThreadPool {
  public:
    // num_threads counts the calling thread, so 1 starts none.
    explicit ThreadPool(int num_threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int num_threads() const { return static_cast<int>(workers_.size()) + 1; }

    // Runs body(begin, end) over [0, count) in disjoint ranges, and returns when all of it is done.
    // body must not throw. Called by one thread at a time. A loop of less than kMinWork
    // multiply-adds in all runs on the caller alone.
    template <class Body>
    void run(std::int64_t count, std::int64_t work_per_item, const Body& body) {
        run_on_threads(count, work_per_item,
                       [&body](std::int64_t, std::int64_t b, std::int64_t e) { body(b, e); });
    }

    // The same with the index of the thread: body(thread, begin, end).
    template <class Body>
    void run_on_threads(std::int64_t count, std::int64_t work_per_item, const Body& body) {
        const auto begin_of = [count](std::int64_t part, std::int64_t parts) {
            return count * part / parts;
        };
        run_shares(count, work_per_item, begin_of, body);
    }

    // The same with shares as the caller cuts them: thread `part` begins with the items from
    // begin_of(part, parts) to begin_of(part + 1, parts); begin_of(parts, parts) is count.
    template <class BeginOf, class Body>
    void run_shares(std::int64_t count,
                    std::int64_t work_per_item,
                    const BeginOf& begin_of,
                    const Body& body) {
        const bool is_small = workers_.empty() || count < 2 || count * work_per_item < kMinWork;
        if (is_small) {
            if (count > 0) body(std::int64_t{0}, std::int64_t{0}, count);
            return;
        }
        CHECK(count <= Share::kMaxItems);
        const std::int64_t parts = num_threads();
        for (std::int64_t part = 0; part < parts; ++part)
            share(part).set(begin_of(part, parts), begin_of(part + 1, parts));
        const std::int64_t grain =
            std::max<std::int64_t>(1, kGrainWork / std::max<std::int64_t>(1, work_per_item));
        run_parts([this, grain, &body](std::int64_t part, std::int64_t num_parts) {
            Range range;
            while (share(part).take_front(grain, range)) body(part, range.begin, range.end);
            for (std::int64_t i = 1; i < num_parts; ++i) {
                Share& other = share((part + i) % num_parts);
                while (other.take_back(grain, range)) body(part, range.begin, range.end);
            }
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
    static constexpr std::int64_t kGrainWork = 1
                                               << 16;  // taken at once: much more than taking costs

  private:
    struct Range {
        std::int64_t begin = 0;
        std::int64_t end = 0;
    };

    // What is left of a thread's items, [begin, end) as two halves of one word.
    class alignas(64) Share {
      public:
        static constexpr std::int64_t kMaxItems = 0xFFFFFFFF;

        void set(std::int64_t begin, std::int64_t end) {
            range_.store(pack(begin, end), std::memory_order_relaxed);
        }

        // False when nothing is left; else up to `most` items from the front or the back.
        bool take_front(std::int64_t most, Range& taken) {
            return take(taken, [most](Range all) {
                return Range{all.begin, std::min(all.end, all.begin + most)};
            });
        }

        bool take_back(std::int64_t most, Range& taken) {
            return take(taken, [most](Range all) {
                return Range{std::max(all.begin, all.end - most), all.end};
            });
        }

      private:
        static std::uint64_t pack(std::int64_t begin, std::int64_t end) {
            return static_cast<std::uint64_t>(begin) << 32 | static_cast<std::uint64_t>(end);
        }

        template <class Pick>
        bool take(Range& taken, const Pick& pick) {
            std::uint64_t word = range_.load(std::memory_order_relaxed);
            while (true) {
                const Range all{static_cast<std::int64_t>(word >> 32),
                                static_cast<std::int64_t>(word & 0xFFFFFFFFU)};
                if (all.begin >= all.end) return false;
                taken = pick(all);
                const std::uint64_t rest = taken.begin == all.begin ? pack(taken.end, all.end)
                                                                    : pack(all.begin, taken.begin);
                if (range_.compare_exchange_weak(word, rest, std::memory_order_relaxed))
                    return true;
            }
        }

        std::atomic<std::uint64_t> range_{0};
    };

    Share& share(std::int64_t part) { return shares_[static_cast<std::size_t>(part)]; }

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
    std::vector<Share> shares_;
    std::vector<std::thread> workers_;
};

}  // namespace turnpike::kernels
