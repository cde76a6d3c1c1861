// Batch invariance: whatever runs beside a request, however its prompt is cut, whether it is
// preempted, finds its prompt in the cache or is helped by drafts, and on however many threads and
// ranks, however these share attention: its tokens and the logprobs of the whole vocabulary are
// those of the request alone on one rank, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <map>
#include <nlohmann/json.hpp>

#include "config/base/limits.h"
#include "engine/core/scheduler.h"
#include "engine/model/load.h"
#include "kernels/api/cpu.h"
#include "tests/support/random.h"
#include "tests/support/ranked_runner.h"
#include "tests/support/small_model.h"

namespace turnpike::engine {
namespace {

constexpr std::int32_t kNumTokens = 12;  // few, so that some drafts are right by chance
constexpr std::int64_t kBlock = limits::kKvBlockTokens;
constexpr std::int64_t kMaxPrompt = 150;
constexpr std::int64_t kMaxGenerated = 200;
constexpr std::int64_t kMaxBlocks = (kMaxPrompt + kMaxGenerated + kBlock - 1) / kBlock;
constexpr std::size_t kManyRows = 25;  // products of so many rows take another kernel

struct Request {
    SequenceSpec spec;
    int arrival = 0;  // the step before which it comes
};

// What one request gave: tokens, and the bits of every logprob.
struct Output {
    std::vector<TokenId> tokens;
    std::vector<std::uint32_t> bits;

    void take(const TokenEvent& event) {
        for (const SampledToken& told : event.prompt_tokens)
            take_logprobs(told.logprob, told.alternatives);
        if (!event.token) return;
        tokens.push_back(*event.token);
        take_logprobs(event.logprob, event.alternatives);
    }

    void take_logprobs(float logprob, const std::vector<TokenLogprob>& alternatives) {
        bits.push_back(std::bit_cast<std::uint32_t>(logprob));
        for (const TokenLogprob& other : alternatives) {
            bits.push_back(static_cast<std::uint32_t>(other.token));
            bits.push_back(std::bit_cast<std::uint32_t>(other.logprob));
        }
    }

    bool operator==(const Output&) const = default;
};

// What really happened in the schedules.
struct Seen {
    std::int64_t num_preemptions = 0;
    std::int64_t num_hits = 0;
    std::int64_t num_accepted = 0;
    std::int64_t num_refused = 0;
    std::int64_t num_chunks = 0;
    std::int64_t num_small_steps = 0;
    std::int64_t num_large_steps = 0;
    std::size_t largest_batch = 0;
    std::map<std::pair<int, AttentionLayout>, int> num_worlds{};  // by ranks and layout

    void take(const StepBatch& batch) {
        std::size_t num_rows = 0;
        for (const SequenceSlice& slice : batch.slices) {
            num_rows += slice.tokens.size();
            num_chunks += slice.is_sampled ? 0 : 1;
        }
        num_small_steps += num_rows == 1 ? 1 : 0;
        num_large_steps += num_rows >= kManyRows ? 1 : 0;
        largest_batch = std::max(largest_batch, batch.slices.size());
    }

    void take(const SchedulerCounters& counters) {
        num_preemptions += counters.num_preemptions;
        num_hits += counters.num_cache_hit_tokens;
        num_accepted += counters.num_accepted_tokens;
        num_refused += counters.num_draft_tokens - counters.num_accepted_tokens;
    }
};

std::map<SequenceId, Output> run(Runner& runner,
                                 const SchedulerOptions& options,
                                 std::vector<Request> requests,
                                 Seen& seen) {
    Scheduler scheduler(options, runner.pool_shape());
    std::map<SequenceId, Output> outputs;
    std::size_t num_arrived = 0;
    for (int step = 0; num_arrived < requests.size() || !scheduler.is_idle(); ++step) {
        for (; num_arrived < requests.size() && requests[num_arrived].arrival <= step;
             ++num_arrived) {
            const Status added = scheduler.add(std::move(requests[num_arrived].spec));
            EXPECT_TRUE(added) << added.error().message;
        }
        const StepBatch batch = scheduler.plan();
        if (batch.slices.empty()) continue;  // nobody is there yet
        seen.take(batch);
        runner.submit(batch);
        for (const TokenEvent& event : scheduler.collect(runner.collect()))
            outputs[event.sequence].take(event);
    }
    EXPECT_EQ(scheduler.num_blocks_free(), scheduler.num_blocks());
    seen.take(scheduler.counters());
    return outputs;
}

SamplingParams random_sampling(test::SeededRandom& random) {
    SamplingParams sampling;
    sampling.temperature = static_cast<float>(random.between(0, 3)) * 0.4F;
    sampling.top_p = random.between(0, 1) == 0 ? 1.0F : 0.9F;
    sampling.seed = random.next();
    sampling.num_alternatives = kNumTokens;
    if (random.between(0, 2) == 0) {
        sampling.frequency_penalty = 0.7F;
        sampling.repetition_penalty = 1.2F;
    }
    return sampling;
}

// Prompts begin with as much of a common text as they like.
std::vector<Request> random_requests(test::SeededRandom& random) {
    std::vector<Request> requests(static_cast<std::size_t>(random.between(1, 64)));
    const std::int64_t one_in = random.between(1, 4);  // long answers
    const std::int64_t longest_pause = random.between(0, 6);
    int arrival = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        SequenceSpec& spec = requests[i].spec;
        spec.id = static_cast<SequenceId>(i + 1);
        const std::int64_t num_prompt = random.between(1, kMaxPrompt);
        const std::int64_t num_common = random.between(0, 200);
        for (std::int64_t t = 0; t < num_prompt; ++t) {
            const std::int64_t token = t < num_common ? t * 7 : random.between(0, kNumTokens - 1);
            spec.prompt.push_back(static_cast<TokenId>(token % kNumTokens));
        }
        // Who grows by more blocks than were kept free for it makes others give way.
        const std::int64_t longest = random.between(1, one_in) == 1 ? kMaxGenerated : 24;
        spec.max_tokens = static_cast<std::int32_t>(random.between(1, longest));
        if (random.between(0, 3) == 0) spec.stop_tokens = {5};
        spec.choice_index = static_cast<std::int32_t>(random.between(0, 2));
        spec.sampling = random_sampling(random);
        spec.wants_prompt_logprobs = random.between(0, 5) == 0;
        if (random.between(0, 3) == 0)
            spec.min_tokens = static_cast<std::int32_t>(random.between(1, spec.max_tokens));
        spec.priority = static_cast<std::int32_t>(random.between(0, 1));
        arrival +=
            random.between(0, 3) == 0 ? static_cast<int>(random.between(0, longest_pause)) : 0;
        requests[i].arrival = arrival;
    }
    return requests;
}

RunnerOptions runner_options(const std::string& model_dir,
                             kernels::CpuIsa isa,
                             int num_threads,
                             std::int64_t num_blocks,
                             bool has_draft_layer) {
    RunnerOptions options;
    options.model_dir = model_dir;
    options.isa = std::string(kernels::to_string(isa));
    options.num_threads = num_threads;
    options.kv_tokens = num_blocks * kBlock;
    options.num_tokens = kNumTokens;
    options.with_draft_layer = has_draft_layer;
    return options;
}

SchedulerOptions random_options(test::SeededRandom& random, bool has_drafts) {
    SchedulerOptions options;
    options.max_running =
        static_cast<std::int32_t>(random.between(0, 1) == 0 ? 64 : random.between(1, 16));
    options.max_step_tokens =
        static_cast<std::int32_t>(random.between(4 * options.max_running, 600));
    options.has_prefix_cache = random.between(0, 3) > 0;
    options.num_speculative_tokens =
        has_drafts ? static_cast<std::int32_t>(random.between(1, 3)) : 0;
    options.max_speculating = static_cast<std::int32_t>(random.between(1, 64));
    options.has_draft_gate = options.max_speculating % 2 == 0;  // with it, steps without drafts too
    options.cache_key = {1, 2};
    return options;
}

class Invariance {
  public:
    Invariance(const nlohmann::json& config, bool can_draft, std::uint64_t seed)
        : model_(config), can_draft_(can_draft), random_(seed) {}

    void check_world() {
        SCOPED_TRACE(random_.replay());
        const auto isa =
            random_.between(0, 3) == 0 ? kernels::CpuIsa::kScalar : kernels::detect_cpu_isa();
        const bool has_drafts = can_draft_ && random_.between(0, 2) > 0;
        const std::vector<Request> requests = random_requests(random_);
        RunnerOptions options = runner_options(
            model_.dir(), isa, static_cast<int>(random_.between(1, 2)),
            random_.between(kMaxBlocks, random_.between(0, 1) == 0 ? 14 : 200), has_drafts);
        const int num_ranks = 1 << std::max<std::int64_t>(0, random_.between(-1, 2));
        options.ranks.attention = random_.between(0, 1) == 0 ? AttentionLayout::kTensorParallel
                                                             : AttentionLayout::kDataParallel;
        ++seen_.num_worlds[{num_ranks, options.ranks.attention}];
        RankedRunner crowded(options, num_ranks);
        const auto outputs = run(*crowded, random_options(random_, has_drafts), requests, seen_);
        RankedRunner quiet(runner_options(model_.dir(), isa, 1, kMaxBlocks, false), 1);
        for (Request request : requests) {
            const SequenceId id = request.spec.id;
            request.arrival = 0;
            Seen ignored;
            const SchedulerOptions alone{.max_running = 1, .has_prefix_cache = false};
            const auto expected = run(*quiet, alone, {std::move(request)}, ignored);
            ASSERT_EQ(outputs.at(id).tokens, expected.at(id).tokens) << "request " << id;
            ASSERT_TRUE(outputs.at(id) == expected.at(id)) << "logprobs of request " << id;
        }
    }

    const Seen& seen() const { return seen_; }

  private:
    SmallModel model_;
    bool can_draft_;
    test::SeededRandom random_;
    Seen seen_;
};

constexpr int kNumWorlds = 24;

void expect_busy(const Seen& seen) {
    EXPECT_GT(seen.num_preemptions, 4);
    EXPECT_GT(seen.num_hits, 10 * kBlock);
    EXPECT_GT(seen.num_chunks, 50);
    EXPECT_GT(seen.num_small_steps, 10);
    EXPECT_GT(seen.num_large_steps, 100);
    EXPECT_GT(seen.largest_batch, 24U);
    for (const int num_ranks : {1, 2, 4}) {
        for (const auto layout : {AttentionLayout::kTensorParallel, AttentionLayout::kDataParallel})
            EXPECT_GT(seen.num_worlds.count({num_ranks, layout}), 0U) << num_ranks << " ranks";
    }
}

// Heads that four ranks can share.
nlohmann::json small_deepseek() {
    nlohmann::json config = small_config();
    config["num_attention_heads"] = config["num_key_value_heads"] = 8;
    config["qk_nope_head_dim"] = config["qk_rope_head_dim"] = config["v_head_dim"] = 64;
    return config;
}

TEST(EngineInvariance, DeepseekGivesEachRequestWhatItGetsAlone) {
    Invariance invariance(small_deepseek(), true, 20'261'128);
    for (int i = 0; i < kNumWorlds && !testing::Test::HasFatalFailure(); ++i)
        invariance.check_world();
    expect_busy(invariance.seen());
    EXPECT_GT(invariance.seen().num_accepted, 20);
    EXPECT_GT(invariance.seen().num_refused, 100);
}

nlohmann::json small_qwen3() {
    return nlohmann::json::parse(R"({
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 96,
        "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 64,
        "intermediate_size": 160, "vocab_size": 300, "hidden_act": "silu", "rms_norm_eps": 1e-06,
        "rope_theta": 1000000, "max_position_embeddings": 131072,
        "rope_scaling": {"rope_type": "yarn", "factor": 4.0,
            "original_max_position_embeddings": 32768, "attn_factor": 0.8782488562869419},
        "tie_word_embeddings": false, "attention_bias": false, "use_sliding_window": false,
        "sliding_window": null, "max_window_layers": 2, "bos_token_id": 0, "eos_token_id": 1})");
}

TEST(EngineInvariance, Qwen3GivesEachRequestWhatItGetsAlone) {
    Invariance invariance(small_qwen3(), false, 7'102);
    for (int i = 0; i < kNumWorlds && !testing::Test::HasFatalFailure(); ++i)
        invariance.check_world();
    expect_busy(invariance.seen());
}

}  // namespace
}  // namespace turnpike::engine
