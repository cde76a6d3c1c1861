// See bench.h.
#include "engine/model/bench.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/model/make_backend.h"
#include "engine/model/model_runner.h"
#include "engine/model/opened_model.h"

namespace turnpike::engine {
namespace {

Status check_options(const BenchOptions& options) {
    constexpr std::int64_t kMost = 1 << 20;
    for (const std::int64_t count : {options.num_prompt, options.num_generated, options.depth}) {
        if (count < 0 || count > kMost)
            return invalid_argument("token counts: expected 0 to 1048576, found " +
                                    std::to_string(count));
    }
    if (options.repeats < 1 || options.repeats > 1000)
        return invalid_argument("repeats: expected 1 to 1000, found " +
                                std::to_string(options.repeats));
    return {};
}

class Bench {
  public:
    Bench(OpenedModel opened, kernels::Probe& probe, const Clock& clock)
        : opened_(std::move(opened)),
          probe_(probe),
          clock_(clock),
          blocks_(static_cast<std::size_t>(opened_.num_blocks)) {
        std::iota(blocks_.begin(), blocks_.end(), 0);
    }

    kernels::Backend& backend() { return *opened_.backend; }

    // A chunk of the prompt, or one generated token; returns the greedy next token.
    TokenId step(std::span<const TokenId> tokens, std::int64_t position, bool is_prompt) {
        StepRows step;
        const auto count = static_cast<std::int64_t>(tokens.size());
        const std::int64_t last =
            step.add_rows(tokens, position, is_prompt ? position + count : 0, blocks_);
        step.rows.logit_rows.push_back(last);
        const kernels::MatrixView logits = opened_.model->forward(step.rows, *opened_.cache);
        kernels::SampleParams params;
        params.temperature = 0.0F;
        kernels::SampledRow row;
        opened_.backend->sample(logits, std::span(&params, 1), opened_.num_tokens,
                                std::span(&row, 1));
        return row.token;
    }

    std::vector<TokenId> prompt(std::int64_t count) const {
        std::vector<TokenId> tokens;
        for (std::int64_t i = 0; i < count; ++i)
            tokens.push_back(static_cast<TokenId>((i * 7919 + 13) % opened_.num_tokens));
        return tokens;
    }

    void fill(std::int64_t depth) {
        constexpr std::int64_t kChunk = 512;
        const auto tokens = prompt(depth);
        for (std::int64_t at = 0; at < depth; at += kChunk) {
            const auto count = static_cast<std::size_t>(std::min(kChunk, depth - at));
            step(std::span(tokens).subspan(static_cast<std::size_t>(at), count), at, true);
        }
    }

    void decode(std::int64_t depth, std::int64_t count) {
        TokenId token = 1;
        for (std::int64_t i = 0; i < count; ++i)
            token = step(std::span(&token, 1), depth + i, false);
    }

    template <class Work>
    double seconds(const Work& work) {
        const SteadyTime start = clock_.steady_now();
        work();
        return std::chrono::duration<double>(clock_.steady_now() - start).count();
    }

    template <class Work>
    BenchSample measure(std::int64_t tokens, const Work& work) {
        BenchSample sample;
        const auto probe = [&] {
            std::int64_t amount = 0;
            const double read = seconds([&] { amount = probe_.read() + probe_.read(); });
            sample.read_gb_per_second += static_cast<double>(amount) / read / 2e9;
            const double multiply = seconds([&] { amount = probe_.multiply(); });
            sample.peak_gflops += static_cast<double>(amount) / multiply / 2e9;
        };
        probe();
        sample.tokens_per_second = static_cast<double>(tokens) / seconds(work);
        probe();
        return sample;
    }

  private:
    OpenedModel opened_;
    kernels::Probe& probe_;
    const Clock& clock_;
    std::vector<BlockId> blocks_;
};

}  // namespace

Result<BenchResult> run_bench(const BenchOptions& options, const Clock& clock) {
    RETURN_IF_ERROR(check_options(options));
    RunnerOptions runner = options.runner;
    runner.kv_tokens =
        std::max({options.num_prompt, options.depth + options.num_generated, std::int64_t{1}});
    const SteadyTime start = clock.steady_now();
    auto opened = open_model(runner);
    if (!opened) return opened.error();
    BenchResult result;
    result.backend = opened->backend->name();
    const auto probe = make_probe(options.runner.isa, runner.num_threads);
    if (!probe) return probe.error();
    Bench bench(std::move(*opened), **probe, clock);
    bench.decode(0, 1);
    result.seconds_to_first_token =
        std::chrono::duration<double>(clock.steady_now() - start).count();
    const auto counted = [&](auto&& work) {
        const kernels::OpCounts before = bench.backend().counts();
        work();
        const kernels::OpCounts after = bench.backend().counts();
        return kernels::OpCounts{after.weight_bytes - before.weight_bytes,
                                 after.flops - before.flops};
    };
    if (options.num_prompt > 0) {
        const auto tokens = bench.prompt(options.num_prompt);
        const auto work = [&] { bench.step(tokens, 0, true); };
        result.flops_per_prompt = static_cast<double>(counted(work).flops);
        for (int i = 0; i < options.repeats; ++i)
            result.prefill.push_back(bench.measure(options.num_prompt, work));
    }
    if (options.num_generated > 0) {
        bench.fill(options.depth);
        const auto work = [&] { bench.decode(options.depth, options.num_generated); };
        result.weight_bytes_per_token = static_cast<double>(counted(work).weight_bytes) /
                                        static_cast<double>(options.num_generated);
        for (int i = 0; i < options.repeats; ++i)
            result.decode.push_back(bench.measure(options.num_generated, work));
    }
    return result;
}

}  // namespace turnpike::engine
