// Times the tile of each instruction set: GB of weights per second for one row and for a few, from
// the L2 cache (one thread) and from memory (all threads), beside the read loop over the same
// bytes, and the share of the register-arithmetic peak. bench_tiles [threads [isa]]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/api/cpu.h"
#include "kernels/cpu/fast/kernel_table.h"
#include "kernels/cpu/fast/memory.h"
#include "kernels/cpu/thread_pool.h"

namespace turnpike::kernels::fast {
namespace {

constexpr std::int64_t kK = 1024;
constexpr std::int64_t kCachedBytes = 512 << 10;
constexpr std::int64_t kStoredBytes = 256 << 20;
constexpr std::int64_t kMaxRows = 64;

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::int64_t bytes_per_weight_of(Format format) {
    return format == Format::kFp8 ? 1 : format == Format::kBf16 ? 2 : 4;
}

struct Bench {
    const KernelTable& table;
    ThreadPool& threads;
    Pages weights{static_cast<std::size_t>(kStoredBytes)};
    std::vector<std::byte> rows = std::vector<std::byte>(kMaxRows * kK * 4 + 64);
    std::vector<float> scales = std::vector<float>(kK / kBlock, 0.5F);

    Bench(const KernelTable& kernels, ThreadPool& pool) : table(kernels), threads(pool) {
        // Codes of small numbers in every format.
        std::mt19937 random(5);
        for (std::int64_t i = 0; i < kStoredBytes; ++i)
            weights.data()[i] = static_cast<std::byte>(random() & 0x3FU);
    }

    // Seconds of one pass, the best of several.
    template <class Pass>
    static double best_of(std::int64_t passes, const Pass& pass) {
        constexpr int kRounds = 7;
        double best = 1e9;
        for (int round = 0; round < kRounds; ++round) {
            const auto start = std::chrono::steady_clock::now();
            for (std::int64_t i = 0; i < passes; ++i) pass();
            best = std::min(best, seconds_since(start) / static_cast<double>(passes));
        }
        return best;
    }

    // Seconds for all groups that `bytes` hold, each times num_rows rows.
    double time(Format format, std::int64_t bytes, std::int64_t num_rows) {
        const std::int64_t group = kK * lanes_of(table, format) * bytes_per_weight_of(format);
        const std::int64_t unit = table.is_paired && format != Format::kF32 ? 2 : 1;
        TileCall call;
        call.format = format;
        call.lanes = lanes_of(table, format);
        call.scales = scales.data();
        call.k = kK;
        call.x = rows.data();
        call.x_row_stride = kBlock / unit * 4;
        call.x_block_stride = call.x_row_stride * num_rows;
        call.num_rows = num_rows;
        call.is_weight_streamed = bytes != kCachedBytes;
        const auto pass = [&](std::int64_t begin, std::int64_t end) {
            alignas(64) float out[kMaxRows * 64];
            TileCall mine = call;
            mine.out = out;
            for (std::int64_t g = begin; g < end; ++g) {
                mine.weights = weights.data() + g * group;
                table.tile(mine);
            }
        };
        const std::int64_t groups = bytes / group;
        if (bytes == kCachedBytes)
            return best_of((32 << 20) / bytes / num_rows, [&] { pass(0, groups); });
        return best_of(1, [&] { threads.run(groups, ThreadPool::kGrainWork, pass); });
    }

    double read_seconds(std::int64_t bytes) {
        constexpr std::int64_t kUnit = 64 << 10;
        const auto pass = [&](std::int64_t begin, std::int64_t end) {
            const auto sum = table.read_all(weights.data() + begin * kUnit, (end - begin) * kUnit);
            asm volatile("" : : "r"(sum) : "memory");
        };
        if (bytes == kCachedBytes)
            return best_of((64 << 20) / bytes, [&] { pass(0, bytes / kUnit); });
        return best_of(1, [&] { threads.run(bytes / kUnit, kUnit, pass); });
    }

    double peak() {
        const auto start = std::chrono::steady_clock::now();
        constexpr std::int64_t kRounds = 20000;
        const float sum = table.multiply(kRounds);
        asm volatile("" : : "x"(sum));
        return static_cast<double>(table.flops_per_round * kRounds) / seconds_since(start);
    }

    void print() {
        const double peak_flops = peak();
        std::printf("%-12s read loop: L2 %5.1f GB/s, memory %5.1f GB/s; peak %4.0f GFLOP/s\n",
                    std::string(to_string(table.isa)).c_str(),
                    static_cast<double>(kCachedBytes) / read_seconds(kCachedBytes) / 1e9,
                    static_cast<double>(kStoredBytes) / read_seconds(kStoredBytes) / 1e9,
                    peak_flops / 1e9);
        for (const auto& [name, format] :
             {std::pair{"FP8", Format::kFp8}, std::pair{"BF16", Format::kBf16},
              std::pair{"F32", Format::kF32}}) {
            for (const std::int64_t num_rows : {1, 2, 4, 8, 64}) {
                const double cached = time(format, kCachedBytes, num_rows);
                const double stored = time(format, kStoredBytes, num_rows);
                const std::int64_t num_weights = kCachedBytes / bytes_per_weight_of(format);
                const double flops = 2.0 * static_cast<double>(num_rows * num_weights);
                std::printf("  %-5s %2lld rows: L2 %5.1f GB/s, memory %5.1f GB/s, %.2f of peak\n",
                            name, static_cast<long long>(num_rows),
                            static_cast<double>(kCachedBytes) / cached / 1e9,
                            static_cast<double>(kStoredBytes) / stored / 1e9,
                            flops / cached / peak_flops);
            }
        }
    }
};

int run(int num_threads, const char* name) {
    ThreadPool threads(num_threads);
    for (const CpuIsa isa : {CpuIsa::kAvx2, CpuIsa::kAvx512, CpuIsa::kAvx512Bf16}) {
        if (name != nullptr && to_string(isa) != name) continue;
        if (!choose_cpu_isa(to_string(isa))) {
            std::printf("%s: not on this machine\n", std::string(to_string(isa)).c_str());
            continue;
        }
        Bench(table_of(isa), threads).print();
    }
    return 0;
}

}  // namespace
}  // namespace turnpike::kernels::fast

int main(int argc, char** argv) {
    const int threads = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1;
    return turnpike::kernels::fast::run(threads, argc > 2 ? argv[2] : nullptr);
}
