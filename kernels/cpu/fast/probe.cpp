// See kernels/api/probe.h.
#include "kernels/api/probe.h"

#include <algorithm>
#include <atomic>
#include <bit>

#include "kernels/cpu/fast/kernel_table.h"
#include "kernels/cpu/fast/memory.h"
#include "kernels/cpu/thread_pool.h"

namespace turnpike::kernels {
namespace fast {
namespace {

constexpr std::int64_t kReadBytes = std::int64_t{512} << 20;
constexpr std::int64_t kRounds = 20000;

class TableProbe final : public Probe {
  public:
    TableProbe(const KernelTable& table, const KernelTable& widest, int num_threads)
        : table_(table),
          widest_(widest),
          threads_(num_threads),
          memory_(static_cast<std::size_t>(kReadBytes)) {
        // Pages that were never written are all one page of zeros.
        threads_.run(kReadBytes, 1, [this](std::int64_t begin, std::int64_t end) {
            std::fill(memory_.data() + begin, memory_.data() + end, std::byte{1});
        });
    }

    std::int64_t read() override {
        constexpr std::int64_t kUnit = 1024;
        threads_.run(kReadBytes / kUnit, kUnit, [this](std::int64_t begin, std::int64_t end) {
            kept_ += widest_.read_all(memory_.data() + begin * kUnit, (end - begin) * kUnit);
        });
        return kReadBytes;
    }

    std::int64_t multiply() override {
        threads_.run_parts([this](std::int64_t, std::int64_t) {
            kept_ += std::bit_cast<std::uint32_t>(table_.multiply(kRounds));
        });
        return table_.flops_per_round * kRounds * threads_.num_threads();
    }

  private:
    const KernelTable& table_;
    const KernelTable& widest_;  // memory is as fast as the machine reads it, whatever the isa
    ThreadPool threads_;
    Pages memory_;
    std::atomic<std::uint64_t> kept_ = 0;  // so that no work can be left out
};

}  // namespace
}  // namespace fast

std::unique_ptr<Probe> make_cpu_probe(CpuIsa isa, int num_threads) {
    const CpuIsa used = isa == CpuIsa::kScalar ? detect_cpu_isa() : isa;
    return std::make_unique<fast::TableProbe>(fast::table_of(used),
                                              fast::table_of(detect_cpu_isa()),
                                              std::clamp(num_threads, 1, num_allowed_cores()));
}

}  // namespace turnpike::kernels
