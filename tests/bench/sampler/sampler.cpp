// Times the CPU sampler on one thread: microseconds for a row of 129,280 logits, the median of many
// rows, beside a pass that only finds the largest logit (greedy) and the reference's sort.
// bench_sampler [isa]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/api/cpu.h"
#include "kernels/api/cpu_reference.h"

namespace turnpike::kernels {
namespace {

constexpr std::int64_t kVocab = 129280;
constexpr int kRows = 16;
constexpr float kTopP = 0.95F;

// Rows of normal logits; `spread` is their standard deviation.
std::vector<float> rows_of(float spread) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0.0F, spread);
    std::vector<float> values(static_cast<std::size_t>(kVocab * kRows));
    std::generate(values.begin(), values.end(), [&] { return normal(random); });
    return values;
}

// Microseconds of a row, the median.
double time_rows(Backend& backend, std::vector<float>& rows, SampleParams params, int repeats) {
    std::vector<double> times;
    for (int i = 0; i < repeats; ++i) {
        params.position = i;
        float* row = rows.data() + i % kRows * kVocab;
        SampledRow out;
        const auto start = std::chrono::steady_clock::now();
        backend.sample({row, DType::kF32, 1, kVocab, kVocab}, std::span(&params, 1), kVocab,
                       std::span(&out, 1));
        const std::chrono::duration<double, std::micro> took =
            std::chrono::steady_clock::now() - start;
        times.push_back(took.count());
    }
    std::nth_element(times.begin(), times.begin() + repeats / 2, times.end());
    return times[static_cast<std::size_t>(repeats / 2)];
}

struct Case {
    const char* name;
    float spread;
    SampleParams params;
};

std::vector<Case> cases() {
    SampleParams greedy;
    greedy.temperature = 0.0F;
    SampleParams nucleus;
    nucleus.temperature = 0.6F;
    nucleus.top_p = kTopP;
    SampleParams ranked = nucleus;
    ranked.top_k = 50;
    SampleParams told = nucleus;
    told.num_alternatives = 20;
    return {{"greedy", 3.0F, greedy},
            {"top-p 0.95, peaked", 3.0F, nucleus},
            {"top-p 0.95, flat", 0.3F, nucleus},
            {"top-k 50, top-p 0.95, peaked", 3.0F, ranked},
            {"top-k 50, top-p 0.95, flat", 0.3F, ranked},
            {"20 alternatives, peaked", 3.0F, told}};
}

int run(const std::string& name) {
    const auto isa = choose_cpu_isa(name);
    if (!isa) {
        std::fprintf(stderr, "bench_sampler: %s\n", isa.error().message.c_str());
        return 1;
    }
    const auto fast = make_cpu_backend(BackendOptions{}, *isa);
    const auto reference = make_cpu_reference_backend(BackendOptions{});
    if (!fast || !reference) {
        std::fprintf(stderr, "bench_sampler: %s\n",
                     (fast ? reference : fast).error().message.c_str());
        return 1;
    }
    std::printf("%-30s %12s %12s   us per row of %lld logits\n", "one thread",
                std::string(to_string(*isa)).c_str(), "reference", static_cast<long long>(kVocab));
    for (const Case& one : cases()) {
        std::vector<float> rows = rows_of(one.spread);
        const double ours = time_rows(**fast, rows, one.params, 201);
        const double sorted = time_rows(**reference, rows, one.params, 5);
        std::printf("%-30s %12.0f %12.0f\n", one.name, ours, sorted);
    }
    return 0;
}

}  // namespace
}  // namespace turnpike::kernels

int main(int argc, char** argv) {
    return turnpike::kernels::run(argc > 1 ? argv[1] : "auto");
}
