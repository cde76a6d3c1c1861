// What speculation costs when nothing is accepted: the time of a step of one generating sequence,
// with the draft layer and without, in turns. Writes JSON.
// bench_speculation <model folder> <threads> [rounds]
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
constexpr std::int64_t kKvTokens = 4096;

class Engine {
  public:
    Engine(const std::string& model_dir, int num_threads, bool speculates)
        : runner_(load(model_dir, num_threads, speculates)),
          scheduler_(options(speculates), runner_->pool_shape()) {
        SequenceSpec spec;
        spec.id = 1;
        for (std::int32_t i = 0; i < kPromptTokens; ++i)
            spec.prompt.push_back((i * 7919 + 13) % runner_->vocab_size());
        spec.max_tokens = static_cast<std::int32_t>(kKvTokens) - kPromptTokens;
        spec.sampling.temperature = 1.0F;
        spec.sampling.seed = 7;
        CHECK(scheduler_.add(std::move(spec)).has_value());
        round();  // the prompt, and memory touched for the first time
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

    const SchedulerCounters& counters() const { return scheduler_.counters(); }

  private:
    static std::unique_ptr<Runner> load(const std::string& model_dir,
                                        int num_threads,
                                        bool speculates) {
        RunnerOptions options;
        options.model_dir = model_dir;
        options.num_threads = num_threads;
        options.kv_tokens = kKvTokens;
        options.with_draft_layer = speculates;
        auto runner = load_runner(options);
        if (!runner) std::cerr << runner.error().message << "\n";
        CHECK(runner.has_value());
        return std::move(*runner);
    }

    static SchedulerOptions options(bool speculates) {
        SchedulerOptions options;
        options.num_speculative_tokens = speculates ? 1 : 0;
        return options;
    }

    std::unique_ptr<Runner> runner_;
    Scheduler scheduler_;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

nlohmann::ordered_json measure(const std::string& model_dir, int num_threads, int num_rounds) {
    Engine plain(model_dir, num_threads, false);
    Engine speculating(model_dir, num_threads, true);
    std::vector<double> plain_ms;
    std::vector<double> speculating_ms;
    std::vector<double> ratios;
    for (int i = 0; i < num_rounds; ++i) {
        plain_ms.push_back(plain.round() * 1e3);
        speculating_ms.push_back(speculating.round() * 1e3);
        ratios.push_back(speculating_ms.back() / plain_ms.back());
    }
    return {{"plain_step_ms", median(plain_ms)},
            {"speculating_step_ms", median(speculating_ms)},
            {"ratio", median(ratios)},
            {"drafts", speculating.counters().num_draft_tokens},
            {"accepted", speculating.counters().num_accepted_tokens}};
}

}  // namespace
}  // namespace turnpike::engine

int main(int argc, char** argv) {
    if (argc < 3) {
        std::cerr << "usage: bench_speculation <model folder> <threads> [rounds]\n";
        return 2;
    }
    const int num_rounds = argc > 3 ? std::atoi(argv[3]) : 9;
    std::cout << turnpike::engine::measure(argv[1], std::atoi(argv[2]), num_rounds).dump(2) << "\n";
}
