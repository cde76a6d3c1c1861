// FP8 block-scaled products of prompts in DeepSeek-R1's shapes, random operands: dense ones and the
// experts of one layer, beside what the tensor cores do on operands that lie in shared memory.
// gemm_bench
#include <random>
#include <string>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/sorted_slots.h"
#include "kernels/cuda/stream_experts.h"
#include "kernels/cuda/stream_linear.h"
#include "tests/bench/cuda/device.cuh"

namespace turnpike::kernels::cuda {
namespace {

void line(const std::string& name, double flops, double seconds, double limit) {
    std::printf("  %-40s %9.1f us %7.0f TFLOP/s %5.1f %%\n", name.c_str(), seconds * 1e6,
                flops / seconds * 1e-12, flops / seconds / limit * 100.0);
}

// Random codes and scales, as quantised rows have them.
CodedRows random_rows(Arena& arena, std::int64_t rows, std::int64_t cols) {
    CodedRows x = arena.coded(rows, cols);
    const std::size_t bytes = packed_bytes(rows, x.stride, kCodedTileRows);
    fill_codes<<<1024, 256>>>(reinterpret_cast<std::uint32_t*>(x.codes), bytes / 4, 77);
    x.scales = arena.floats<float>(static_cast<std::size_t>(x.scale_stride * x.stride / 128), 0.01F,
                                   0.02F);
    return x;
}

struct Product {
    std::int64_t n, k;
};

// The projections of one layer, whole and cut for tensor parallelism.
constexpr Product kProducts[] = {{2112, 7168}, {24576, 1536}, {32768, 512}, {7168, 16384},
                                 {4096, 7168}, {7168, 2048},  {18432, 7168}};

void bench_dense(double limit, cudaStream_t stream) {
    for (const Product& product : kProducts) {
        for (const std::int64_t rows : {256, 4096}) {
            Arena arena;
            const WeightView weight = arena.fp8(product.n, product.k);
            const CodedRows x = random_rows(arena, rows, product.k);
            const MatrixView out = arena.matrix(rows, product.n);
            const double flops = 2.0 * static_cast<double>(rows * product.n * product.k);
            const std::string name = std::to_string(rows) + " rows, " + std::to_string(product.n) +
                                     " x " + std::to_string(product.k);
            line(name, flops, seconds_of(stream, 5, 4, [&] { gemm(x, weight, out, stream); }),
                 limit);
            if (rows == 256) {
                line(name + ", by streams", flops,
                     seconds_of(stream, 5, 4, [&] { stream_linear(x, weight, out, stream); }),
                     limit);
            }
        }
    }
}

// All experts of one layer, rows chosen at random.
class Experts {
  public:
    Experts() {
        std::vector<ExpertView> views;
        for (std::int64_t e = 0; e < kExperts; ++e) {
            views.push_back({arena_.fp8(kIntermediate, kHidden), arena_.fp8(kIntermediate, kHidden),
                             arena_.fp8(kHidden, kIntermediate)});
        }
        shape_ = views.front();
        auto* const table = arena_.raw(views.size() * sizeof(ExpertView));
        CUDA_CHECK(
            cudaMemcpy(table, views.data(), views.size() * sizeof(ExpertView), cudaMemcpyDefault));
        table_ = static_cast<const ExpertView*>(table);
    }

    void bench(std::int64_t rows, double limit, cudaStream_t stream) {
        Arena arena;
        const RoutingView routing = route(arena, rows);
        const std::int64_t positions = routing.max_positions();
        const CodedRows x = random_rows(arena, positions, kHidden);
        const CodedRows codes = random_rows(arena, positions, kIntermediate);
        const MatrixView hidden = arena.matrix(positions, kIntermediate);
        const MatrixView out = arena.matrix(rows * kChosen, kHidden);
        const double flops = 2.0 * static_cast<double>(rows * kChosen) *
                             static_cast<double>(kHidden * kIntermediate);
        const std::string name = std::to_string(rows) + " rows of 8 experts, ";
        const auto run = [&](const char* what, double count, auto body) {
            line(name + what, count, seconds_of(stream, 3, 1, body), limit);
        };
        run("gate and up", 2.0 * flops,
            [&] { gemm_gate_up(x, routing, table_, shape_, hidden, stream); });
        run("down", flops, [&] { gemm_down(codes, routing, table_, shape_, out, stream); });
        if (rows > 4096) return;
        run("gate and up, by streams", 2.0 * flops,
            [&] { stream_gate_up(x, routing, table_, shape_, hidden, stream); });
        run("down, by streams", flops,
            [&] { stream_down(codes, routing, table_, shape_, out, stream); });
    }

  private:
    static constexpr std::int64_t kHidden = 7168;
    static constexpr std::int64_t kIntermediate = 2048;
    static constexpr std::int64_t kExperts = 256;
    static constexpr std::int64_t kChosen = 8;

    static std::int32_t* upload(Arena& arena, const std::vector<std::int32_t>& words) {
        auto* const data = static_cast<std::int32_t*>(arena.raw(words.size() * 4));
        CUDA_CHECK(cudaMemcpy(data, words.data(), words.size() * 4, cudaMemcpyDefault));
        return data;
    }

    static RoutingView route(Arena& arena, std::int64_t rows) {
        std::mt19937 random(5);
        Routing routing{rows, kChosen, {}, {}};
        for (std::int64_t r = 0; r < rows; ++r) {
            std::vector<std::int32_t> chosen;
            while (static_cast<std::int64_t>(chosen.size()) < kChosen) {
                const auto expert = static_cast<std::int32_t>(random() % kExperts);
                if (std::find(chosen.begin(), chosen.end(), expert) == chosen.end())
                    chosen.push_back(expert);
            }
            std::sort(chosen.begin(), chosen.end());
            routing.experts.insert(routing.experts.end(), chosen.begin(), chosen.end());
        }
        const SortedSlots sorted(routing, kExperts);
        RoutingView view;
        view.rows = rows;
        view.num_chosen = kChosen;
        view.num_experts = kExperts;
        view.active = upload(arena, sorted.active);
        view.order = upload(arena, sorted.order);
        view.offsets = upload(arena, sorted.offsets);
        view.positions = upload(arena, sorted.positions);
        view.slots = upload(arena, sorted.slots);
        return view;
    }

    Arena arena_;
    ExpertView shape_;
    const ExpertView* table_ = nullptr;
};

}  // namespace
}  // namespace turnpike::kernels::cuda

int main() {
    using namespace turnpike::kernels::cuda;
    cudaStream_t stream = nullptr;
    CUDA_CHECK(cudaStreamCreate(&stream));
    cudaDeviceProp device{};
    CUDA_CHECK(cudaGetDeviceProperties(&device, 0));
    const double limit = multiply_rate();
    std::printf("%s, FP8 tensor cores alone %.0f TFLOP/s\n", device.name, limit * 1e-12);
    bench_dense(limit, stream);
    Experts experts;
    for (const std::int64_t rows : {1024, 2048, 4096, 16384}) experts.bench(rows, limit, stream);
}
