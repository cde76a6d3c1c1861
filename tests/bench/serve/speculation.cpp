// Times speculation beside none, one sequence at a time, the same answers in turns: with the draft
// layer's own drafts, with drafts of which none or 85 of 100 are accepted (the layer runs all the
// same; what it drafts is replaced), and without the gate that stops drafting. Writes JSON.
// bench_speculation <model folder> <threads> [rounds [prompts [drafts]]]
// prompts: a file of token ids, a prompt a line. Each is answered at temperature 0.6, top-p 0.95 up
// to the model's end token, with the layer's own drafts alone, so many a step (1). Without one:
// noise at temperature 1.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "config/base/check.h"
#include "engine/core/scheduler.h"
#include "engine/model/load.h"

namespace turnpike::engine {
namespace {

constexpr std::int32_t kPromptTokens = 64;  // of noise
constexpr std::int32_t kAnswerTokens = 192;
constexpr std::int32_t kMaxPromptTokens = 512;
constexpr std::int32_t kMaxAnswerTokens = 1024;

struct Case {
    const char* name;
    std::optional<int> percent_right;  // of the drafts; none = as the layer drafts them
    bool has_draft_gate = true;
};

// A runner whose drafts are replaced. The next tokens are known from a run without drafts.
class SpoiledRunner final : public Runner {
  public:
    explicit SpoiledRunner(std::unique_ptr<Runner> inner) : inner_(std::move(inner)) {}

    // next_tokens[i]: the token at position kPromptTokens + i.
    void expect(std::vector<TokenId> next_tokens, std::optional<int> percent_right) {
        next_tokens_ = std::move(next_tokens);
        percent_right_ = percent_right;
    }

    PoolShape pool_shape() const override { return inner_->pool_shape(); }

    std::int32_t max_steps_in_flight() const override { return inner_->max_steps_in_flight(); }

    std::int32_t vocab_size() const override { return inner_->vocab_size(); }

    void submit(const StepBatch& batch) override { inner_->submit(batch); }

    StepResult collect() override {
        StepResult result = inner_->collect();
        for (SampledToken& sample : result.samples) {
            if (!percent_right_) continue;
            for (std::size_t i = 0; i < sample.drafts.size(); ++i)
                sample.drafts[i] = draft_after(sample.position + static_cast<std::int32_t>(i));
        }
        return result;
    }

  private:
    TokenId draft_after(std::int32_t position) const {
        const auto index = static_cast<std::size_t>(position + 1 - kPromptTokens);
        const TokenId right = index < next_tokens_.size() ? next_tokens_[index] : 0;
        // A fixed scatter over the positions.
        const auto hash = static_cast<std::uint32_t>(position) * 2654435761U;
        const bool is_right = static_cast<int>((hash >> 16U) % 100) < *percent_right_;
        return is_right ? right : (right + 1) % inner_->vocab_size();
    }

    std::unique_ptr<Runner> inner_;
    std::vector<TokenId> next_tokens_;
    std::optional<int> percent_right_;
};

struct TimedAnswer {
    std::vector<TokenId> tokens;
    double seconds = 0;  // from the prompt's step on, that not counted
    int num_steps = 0;   // in them
    SchedulerCounters counters;

    double step_s() const { return seconds / num_steps; }

    double token_s() const { return seconds / static_cast<double>(tokens.size() - 1); }
};

SequenceSpec noise(std::int32_t vocab_size, std::uint64_t seed) {
    SequenceSpec spec;
    for (std::int32_t i = 0; i < kPromptTokens; ++i)
        spec.prompt.push_back((i * 7919 + 13) % vocab_size);
    spec.max_tokens = kAnswerTokens;
    spec.sampling.temperature = 1.0F;
    spec.sampling.seed = seed;
    return spec;
}

// One prompt a line, its token ids apart by spaces.
std::vector<SequenceSpec> read_questions(const std::string& path, TokenId end_token) {
    std::ifstream file(path);
    std::vector<SequenceSpec> questions;
    for (std::string line; std::getline(file, line);) {
        SequenceSpec spec;
        std::istringstream words(line);
        for (TokenId token = 0; words >> token;) spec.prompt.push_back(token);
        CHECK(!spec.prompt.empty() && spec.prompt.size() <= kMaxPromptTokens);
        spec.max_tokens = kMaxAnswerTokens;
        spec.stop_tokens = {end_token};
        spec.sampling.temperature = 0.6F;
        spec.sampling.top_p = 0.95F;
        questions.push_back(std::move(spec));
    }
    CHECK(!questions.empty());
    return questions;
}

TimedAnswer generate(Runner& runner, SchedulerOptions options, SequenceSpec spec) {
    options.max_running = 1;
    Scheduler scheduler(options, runner.pool_shape());
    spec.id = 1;
    CHECK(scheduler.add(std::move(spec)).has_value());
    TimedAnswer answer;
    auto start = std::chrono::steady_clock::now();
    for (int step = 0; !scheduler.is_idle(); ++step) {
        runner.submit(scheduler.plan());
        for (const TokenEvent& event : scheduler.collect(runner.collect()))
            answer.tokens.push_back(*event.token);
        if (step == 0) start = std::chrono::steady_clock::now();
        answer.num_steps = step;
    }
    answer.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    answer.counters = scheduler.counters();
    return answer;
}

std::unique_ptr<Runner> load(const std::string& model_dir, int num_threads, bool with_draft_layer) {
    RunnerOptions options;
    options.model_dir = model_dir;
    options.num_threads = num_threads;
    options.kv_tokens = kMaxPromptTokens + kMaxAnswerTokens;
    options.with_draft_layer = with_draft_layer;
    auto runner = load_runner(options);
    if (!runner) std::cerr << runner.error().message << "\n";
    CHECK(runner.has_value());
    return std::move(*runner);
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

// What the rounds gave of one case.
struct Series {
    std::vector<double> plain_ms;
    std::vector<double> step_ms;
    std::vector<double> step_ratios;  // a step's time over a plain one's
    std::vector<double> speeds;       // tokens per second over the plain run's
    std::int64_t num_drafts = 0;
    std::int64_t num_accepted = 0;

    void take(const TimedAnswer& plain, const TimedAnswer& answer) {
        plain_ms.push_back(plain.step_s() * 1e3);
        step_ms.push_back(answer.step_s() * 1e3);
        step_ratios.push_back(answer.step_s() / plain.step_s());
        speeds.push_back(plain.token_s() / answer.token_s());
        num_drafts += answer.counters.num_draft_tokens;
        num_accepted += answer.counters.num_accepted_tokens;
    }

    nlohmann::ordered_json json(const char* name) const {
        return {{"case", name},
                {"plain_step_ms", median(plain_ms)},
                {"step_ms", median(step_ms)},
                {"step_ratio", median(step_ratios)},
                {"speed_ratio", median(speeds)},
                {"drafts", num_drafts},
                {"accepted", num_accepted}};
    }
};

// The answers to one set of questions, all together.
struct Round {
    double seconds = 0;
    std::int64_t num_tokens = 0;
    SchedulerCounters counters;
};

Round answer_all(Runner& runner,
                 const SchedulerOptions& options,
                 const std::vector<SequenceSpec>& questions,
                 std::uint64_t seed) {
    Round round;
    for (SequenceSpec question : questions) {
        question.sampling.seed = seed;
        const TimedAnswer answer = generate(runner, options, std::move(question));
        round.seconds += answer.seconds;
        round.num_tokens += static_cast<std::int64_t>(answer.tokens.size());
        round.counters.num_draft_tokens += answer.counters.num_draft_tokens;
        round.counters.num_accepted_tokens += answer.counters.num_accepted_tokens;
    }
    return round;
}

// Both runners answer the same questions in turns, which one first changes from round to round.
nlohmann::ordered_json compare_answers(Runner& plain,
                                       Runner& speculating,
                                       const std::vector<SequenceSpec>& questions,
                                       int num_rounds,
                                       int num_drafts_a_step) {
    const SchedulerOptions with_drafts{.num_speculative_tokens = num_drafts_a_step};
    std::vector<double> plain_rates;
    std::vector<double> rates;
    std::vector<double> ratios;
    std::int64_t num_drafts = 0;
    std::int64_t num_accepted = 0;
    for (int i = 0; i < num_rounds; ++i) {
        const auto seed = static_cast<std::uint64_t>(i);
        Round first;
        if (i % 2 == 0) first = answer_all(plain, {}, questions, seed);
        const Round drafted = answer_all(speculating, with_drafts, questions, seed);
        if (i % 2 == 1) first = answer_all(plain, {}, questions, seed);
        CHECK(first.num_tokens == drafted.num_tokens);
        plain_rates.push_back(static_cast<double>(first.num_tokens) / first.seconds);
        rates.push_back(static_cast<double>(drafted.num_tokens) / drafted.seconds);
        ratios.push_back(first.seconds / drafted.seconds);
        num_drafts += drafted.counters.num_draft_tokens;
        num_accepted += drafted.counters.num_accepted_tokens;
    }
    return {{"case", "answers"},
            {"rounds", num_rounds},
            {"drafts_a_step", num_drafts_a_step},
            {"plain_tokens_per_s", median(plain_rates)},
            {"tokens_per_s", median(rates)},
            {"speed_ratio", median(ratios)},
            {"lowest_ratio", *std::min_element(ratios.begin(), ratios.end())},
            {"highest_ratio", *std::max_element(ratios.begin(), ratios.end())},
            {"drafts", num_drafts},
            {"accepted", num_accepted}};
}

nlohmann::ordered_json compare_cases(Runner& plain_runner, SpoiledRunner& runner, int num_rounds) {
    const std::vector<Case> cases = {{"nothing accepted", 0},
                                     {"nothing accepted, always drafting", 0, false},
                                     {"the layer's own drafts", std::nullopt},
                                     {"85 % accepted", 85}};
    const std::int32_t vocab_size = runner.vocab_size();
    (void)generate(plain_runner, {}, noise(vocab_size, 0));  // memory touched for the first time
    (void)generate(runner, {.num_speculative_tokens = 1}, noise(vocab_size, 0));
    std::vector<Series> series(cases.size());
    for (int round = 0; round < num_rounds; ++round) {
        const auto seed = static_cast<std::uint64_t>(round);
        const TimedAnswer plain = generate(plain_runner, {}, noise(vocab_size, seed));
        for (std::size_t i = 0; i < cases.size(); ++i) {
            runner.expect(plain.tokens, cases[i].percent_right);
            const SchedulerOptions options{.num_speculative_tokens = 1,
                                           .has_draft_gate = cases[i].has_draft_gate};
            const TimedAnswer answer = generate(runner, options, noise(vocab_size, seed));
            CHECK(answer.tokens == plain.tokens);
            series[i].take(plain, answer);
        }
    }
    nlohmann::ordered_json results = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < cases.size(); ++i) results.push_back(series[i].json(cases[i].name));
    return results;
}

}  // namespace
}  // namespace turnpike::engine

int main(int argc, char** argv) {
    using namespace turnpike::engine;
    if (argc < 3 || argc > 6) {
        std::cerr
            << "usage: bench_speculation <model folder> <threads> [rounds [prompts [drafts]]]\n";
        return 2;
    }
    const int num_rounds = argc > 3 ? std::atoi(argv[3]) : 5;
    const auto plain = load(argv[1], std::atoi(argv[2]), false);
    auto drafting = load(argv[1], std::atoi(argv[2]), true);
    if (argc >= 5) {
        const auto end_token = read_model_info(argv[1]).value().eos_token;
        const auto questions = read_questions(argv[4], end_token);
        const int num_drafts = argc > 5 ? std::atoi(argv[5]) : 1;
        std::cout << compare_answers(*plain, *drafting, questions, num_rounds, num_drafts).dump(2)
                  << "\n";
        return 0;
    }
    SpoiledRunner runner(std::move(drafting));
    std::cout << compare_cases(*plain, runner, num_rounds).dump(2) << "\n";
}
