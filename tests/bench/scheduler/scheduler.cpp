// Times the scheduler alone: microseconds of plan() and collect() for a step of many generating
// sequences, samples made up. Writes JSON.
// bench_scheduler [sequences] [steps]
#include "engine/core/scheduler.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/base/check.h"

namespace turnpike::engine {
namespace {

constexpr std::int32_t kPromptTokens = 1000;
constexpr std::int32_t kVocab = 129280;
constexpr std::int32_t kBlockTokens = 64;

struct Case {
    const char* name;
    bool has_penalties = false;
    std::int32_t num_biased_tokens = 0;
    std::int32_t num_speculative_tokens = 0;
    bool has_right_drafts = false;
};

TokenId token_at(SequenceId sequence, std::int32_t position) {
    return static_cast<TokenId>(2 + (sequence * 7919 + position * 31) % (kVocab - 2));
}

// A runner's answer: each sampled slice gets one token and one for a right draft.
StepResult answer(const StepBatch& batch, bool has_right_drafts) {
    StepResult result{batch.step, {}};
    for (const SequenceSlice& slice : batch.slices) {
        if (!slice.is_sampled) continue;
        const SequenceId id = slice.sequence;
        const auto num_rows = static_cast<std::int32_t>(slice.tokens.size());
        const std::int32_t first = slice.first_position + num_rows - slice.num_draft_tokens;
        const std::int32_t last = first + (has_right_drafts ? slice.num_draft_tokens : 0);
        for (std::int32_t position = first; position <= last; ++position)
            result.samples.push_back({id, position, token_at(id, position), 0.0F, {}, {}});
        for (std::int32_t i = 1; i <= slice.num_wanted_drafts; ++i)
            result.samples.back().drafts.push_back(has_right_drafts ? token_at(id, last + i) : 1);
    }
    return result;
}

class Bench {
  public:
    Bench(const Case& wanted, std::int32_t num_sequences, std::int32_t num_steps)
        : scheduler_(options(wanted, num_sequences),
                     {1, num_sequences * ((kPromptTokens + 3 * num_steps) / kBlockTokens + 2)}),
          has_right_drafts_(wanted.has_right_drafts) {
        for (std::int32_t i = 0; i < num_sequences; ++i) {
            SequenceSpec spec;
            spec.id = i + 1;
            for (std::int32_t j = 0; j < kPromptTokens; ++j)
                spec.prompt.push_back(2 + (i * 104729 + j * 7919) % (kVocab - 2));
            spec.max_tokens = 3 * num_steps;
            spec.stop_tokens = {0};
            if (wanted.has_penalties) spec.sampling.presence_penalty = 0.5F;
            for (TokenId token = 0; token < wanted.num_biased_tokens; ++token)
                spec.sampling.logit_bias[token] = -1.0F;
            CHECK(scheduler_.add(std::move(spec)).has_value());
        }
        while (scheduler_.num_running() < num_sequences || !is_generating_) step();
    }

    // Seconds of the scheduler's own work in one step.
    double step() {
        const auto start = std::chrono::steady_clock::now();
        const StepBatch batch = scheduler_.plan();
        const auto planned = std::chrono::steady_clock::now();
        const StepResult result = answer(batch, has_right_drafts_);
        is_generating_ = result.samples.size() >= batch.slices.size();
        const auto answered = std::chrono::steady_clock::now();
        const auto events = scheduler_.collect(result);
        const auto collected = std::chrono::steady_clock::now();
        CHECK(events.size() == result.samples.size());
        return std::chrono::duration<double>((planned - start) + (collected - answered)).count();
    }

  private:
    static SchedulerOptions options(const Case& wanted, std::int32_t num_sequences) {
        SchedulerOptions options;
        options.max_running = num_sequences;
        options.max_step_tokens = 8192;
        options.num_speculative_tokens = wanted.num_speculative_tokens;
        options.max_speculating = num_sequences;
        return options;
    }

    Scheduler scheduler_;
    bool has_right_drafts_;
    bool is_generating_ = false;
};

nlohmann::ordered_json measure(const Case& wanted, std::int32_t num_sequences, int num_steps) {
    Bench bench(wanted, num_sequences, num_steps);
    std::vector<double> times_us;
    times_us.reserve(static_cast<std::size_t>(num_steps));
    for (int i = 0; i < num_steps; ++i) times_us.push_back(bench.step() * 1e6);
    std::sort(times_us.begin(), times_us.end());
    const auto at = [&](double share) {
        return times_us[static_cast<std::size_t>(share * static_cast<double>(num_steps - 1))];
    };
    return {{"case", wanted.name},
            {"sequences", num_sequences},
            {"median_us", at(0.5)},
            {"p99_us", at(0.99)}};
}

}  // namespace
}  // namespace turnpike::engine

int main(int argc, char** argv) {
    using namespace turnpike::engine;
    const int num_sequences = argc > 1 ? std::atoi(argv[1]) : 256;
    const int num_steps = argc > 2 ? std::atoi(argv[2]) : 1000;
    nlohmann::ordered_json results = nlohmann::ordered_json::array();
    for (const Case& wanted :
         {Case{"plain"}, Case{"penalties", true}, Case{"a bias of 300 tokens", false, 300},
          Case{"drafts refused", false, 0, 1}, Case{"drafts accepted", false, 0, 1, true}})
        results.push_back(measure(wanted, num_sequences, num_steps));
    std::cout << results.dump(2) << "\n";
}
