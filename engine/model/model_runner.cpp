// See model_runner.h.
#include "engine/model/model_runner.h"

#include <algorithm>
#include <utility>

#include "config/base/check.h"
#include "config/base/limits.h"

namespace turnpike::engine {
namespace {

// The lists that a row's parameters point to.
struct RowLists {
    std::vector<kernels::SeenToken> seen;
    std::vector<kernels::TokenBias> bias;
};

// `newest` is the slice's last token, known by now.
RowLists row_lists(const SequenceSlice& slice, TokenId newest) {
    RowLists lists;
    for (const auto& [token, bias] : slice.sampling.logit_bias) lists.bias.push_back({token, bias});
    for (const SeenToken& seen : slice.seen) lists.seen.push_back({seen.token, seen.num_generated});
    if (slice.tokens.back() != kTokenInFlight || !slice.sampling.has_penalties()) return lists;
    const auto entry = std::find_if(lists.seen.begin(), lists.seen.end(),
                                    [&](const auto& seen) { return seen.token == newest; });
    if (entry == lists.seen.end()) {
        lists.seen.push_back({newest, 1});
    } else {
        ++entry->num_generated;
    }
    return lists;
}

// `slice` and `lists` must outlive the result.
kernels::SampleParams sample_params(const SequenceSlice& slice,
                                    const RowLists& lists,
                                    std::int32_t position) {
    const SamplingParams& wanted = slice.sampling;
    kernels::SampleParams params;
    params.temperature = wanted.temperature;
    params.top_p = wanted.top_p;
    params.top_k = wanted.top_k;
    params.min_p = wanted.min_p;
    params.seed = wanted.seed;
    params.choice_index = slice.choice_index;
    params.position = position;
    params.repetition_penalty = wanted.repetition_penalty;
    params.presence_penalty = wanted.presence_penalty;
    params.frequency_penalty = wanted.frequency_penalty;
    params.seen = lists.seen;
    params.bias = lists.bias;
    params.allowed = slice.allowed_tokens;
    params.num_alternatives = wanted.num_alternatives;
    return params;
}

}  // namespace

std::int64_t StepRows::add_rows(std::span<const TokenId> tokens,
                                std::int64_t first_position,
                                std::int64_t num_prompt_tokens,
                                std::span<const BlockId> blocks) {
    const auto first_row = static_cast<std::int64_t>(rows.tokens.size());
    const auto count = static_cast<std::int64_t>(tokens.size());
    rows.tokens.insert(rows.tokens.end(), tokens.begin(), tokens.end());
    for (std::int64_t i = 0; i < count; ++i) {
        rows.positions.push_back(static_cast<std::int32_t>(first_position + i));
    }
    const std::int64_t num_prompt =
        std::clamp<std::int64_t>(num_prompt_tokens - first_position, 0, count);
    if (num_prompt > 0) {
        rows.prompt_slices.push_back({first_row, num_prompt, first_position, blocks});
    }
    if (num_prompt < count) {
        rows.generated_slices.push_back(
            {first_row + num_prompt, count - num_prompt, first_position + num_prompt, blocks});
    }
    return first_row + count - 1;
}

ModelRunner::ModelRunner(OpenedModel opened) : opened_(std::move(opened)) {}

PoolShape ModelRunner::pool_shape() const {
    return {1, static_cast<std::int32_t>(opened_.num_blocks)};
}

std::int32_t ModelRunner::vocab_size() const {
    return opened_.model->info().vocab_size;
}

void ModelRunner::check_slice(const SequenceSlice& slice) const {
    CHECK(slice.pool_index == 0 && !slice.tokens.empty() && slice.first_position >= 0);
    const std::int64_t end = slice.first_position + static_cast<std::int64_t>(slice.tokens.size());
    CHECK(end <= opened_.model->info().max_positions);
    CHECK(static_cast<std::int64_t>(slice.block_table.size()) * limits::kKvBlockTokens >= end);
}

std::vector<TokenId> ModelRunner::resolved_tokens(const SequenceSlice& slice) const {
    std::vector<TokenId> tokens = slice.tokens;
    if (tokens.back() == kTokenInFlight) {
        const auto sample = last_samples_.find(slice.sequence);
        CHECK(sample != last_samples_.end());
        tokens.back() = sample->second;
    }
    return tokens;
}

void ModelRunner::submit(const StepBatch& batch) {
    CHECK(static_cast<std::int32_t>(done_.size()) < max_steps_in_flight());
    StepResult result{batch.step, {}};
    StepRows step;
    std::vector<kernels::SampleParams> params;
    std::deque<RowLists> lists;  // never moved: params point into it
    for (const SequenceSlice& slice : batch.slices) {
        check_slice(slice);
        const std::vector<TokenId> tokens = resolved_tokens(slice);
        const std::int64_t last_row =
            step.add_rows(tokens, slice.first_position, slice.num_prompt_tokens, slice.block_table);
        if (!slice.is_sampled) continue;
        const std::int32_t position =
            slice.first_position + static_cast<std::int32_t>(slice.tokens.size());
        step.rows.logit_rows.push_back(last_row);
        lists.push_back(row_lists(slice, tokens.back()));
        params.push_back(sample_params(slice, lists.back(), position));
        result.samples.push_back({slice.sequence, position, 0, 0.0F, {}});
    }
    last_samples_.clear();
    if (!batch.slices.empty()) {
        const kernels::MatrixView logits = opened_.model->forward(step.rows, *opened_.cache);
        std::vector<kernels::SampledRow> sampled(params.size());
        if (!params.empty()) opened_.backend->sample(logits, params, opened_.num_tokens, sampled);
        for (std::size_t i = 0; i < sampled.size(); ++i) {
            result.samples[i].token = sampled[i].token;
            result.samples[i].logprob = sampled[i].logprob;
            for (const kernels::TokenLogprob& other : sampled[i].alternatives)
                result.samples[i].alternatives.push_back({other.token, other.logprob});
            last_samples_[result.samples[i].sequence] = sampled[i].token;
        }
    }
    done_.push_back(std::move(result));
}

StepResult ModelRunner::collect() {
    CHECK(!done_.empty());
    StepResult result = std::move(done_.front());
    done_.pop_front();
    return result;
}

}  // namespace turnpike::engine
