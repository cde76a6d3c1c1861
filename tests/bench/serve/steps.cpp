// Times the engine's step without a server, two engines in turns: sixteen sequences beside one.
// Writes JSON.
// bench_steps <model folder> <threads> [rounds]
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/base/check.h"
#include "engine/core/scheduler.h"
#include "engine/model/load.h"

namespace turnpike::engine {
namespace {

constexpr std::int32_t kPromptTokens = 64;
constexpr std::int32_t kStepsOfARound = 32;
constexpr std::int64_t kKvTokens = 1024;  // of a sequence
constexpr std::int32_t kBatch = 16;

struct EngineOptions {
    std::string model_dir;
    int num_threads = 1;
    std::int32_t num_sequences = 1;
};

class Engine {
  public:
    explicit Engine(const EngineOptions& options)
        : runner_(load(options)), scheduler_(scheduling(options), runner_->pool_shape()) {
        for (std::int32_t i = 0; i < options.num_sequences; ++i) {
            SequenceSpec spec;
            spec.id = i + 1;
            for (std::int32_t j = 0; j < kPromptTokens; ++j)
                spec.prompt.push_back((i * 104729 + j * 7919 + 13) % runner_->vocab_size());
            spec.max_tokens = static_cast<std::int32_t>(kKvTokens) - kPromptTokens;
            spec.sampling.temperature = 1.0F;
            spec.sampling.seed = static_cast<std::uint64_t>(i);
            CHECK(scheduler_.add(std::move(spec)).has_value());
        }
        round();  // the prompts, and memory touched for the first time
    }

    // Median seconds of a step.
    double round() {
        std::vector<double> times_s;
        for (std::int32_t i = 0; i < kStepsOfARound; ++i) {
            const auto start = std::chrono::steady_clock::now();
            runner_->submit(scheduler_.plan());
            CHECK(!scheduler_.collect(runner_->collect()).empty());
            times_s.push_back(
                std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        }
        std::nth_element(times_s.begin(), times_s.begin() + kStepsOfARound / 2, times_s.end());
        return times_s[kStepsOfARound / 2];
    }

  private:
    static std::unique_ptr<Runner> load(const EngineOptions& wanted) {
        RunnerOptions options;
        options.model_dir = wanted.model_dir;
        options.num_threads = wanted.num_threads;
        options.kv_tokens = kKvTokens * wanted.num_sequences;
        auto runner = load_runner(options);
        if (!runner) std::cerr << runner.error().message << "\n";
        CHECK(runner.has_value());
        return std::move(*runner);
    }

    static SchedulerOptions scheduling(const EngineOptions& wanted) {
        SchedulerOptions options;
        options.max_running = wanted.num_sequences;
        return options;
    }

    std::unique_ptr<Runner> runner_;
    Scheduler scheduler_;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

// Milliseconds of a step of each, and the ratio of the second's to the first's.
nlohmann::ordered_json compare(Engine& first, Engine& second, int num_rounds) {
    std::vector<double> first_ms;
    std::vector<double> second_ms;
    std::vector<double> ratios;
    for (int i = 0; i < num_rounds; ++i) {
        first_ms.push_back(first.round() * 1e3);
        second_ms.push_back(second.round() * 1e3);
        ratios.push_back(second_ms.back() / first_ms.back());
    }
    return {{"first_step_ms", median(first_ms)},
            {"second_step_ms", median(second_ms)},
            {"ratio", median(ratios)}};
}

}  // namespace
}  // namespace turnpike::engine

int main(int argc, char** argv) {
    using namespace turnpike::engine;
    if (argc < 3) {
        std::cerr << "usage: bench_steps <model folder> <threads> [rounds]\n";
        return 2;
    }
    EngineOptions options{argv[1], std::atoi(argv[2]), 1};
    Engine one(options);
    options.num_sequences = kBatch;
    Engine other(options);
    std::cout << compare(one, other, argc > 3 ? std::atoi(argv[3]) : 9).dump(2) << "\n";
}
