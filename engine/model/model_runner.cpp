// See model_runner.h.
#include "engine/model/model_runner.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "config/base/check.h"
#include "config/base/limits.h"

namespace turnpike::engine {
namespace {

// The lists that a row's parameters point to.
struct RowLists {
    std::vector<kernels::SeenToken> seen;
    std::vector<kernels::TokenBias> bias;
    std::vector<std::uint32_t> allowed;  // of a row that tells the prompt
};

// Only that token: its logprob is then that of the "sample".
std::vector<std::uint32_t> only(TokenId token, std::int64_t num_tokens) {
    std::vector<std::uint32_t> words(static_cast<std::size_t>((num_tokens + 31) / 32));
    words[static_cast<std::size_t>(token / 32)] = std::uint32_t{1} << (token % 32);
    return words;
}

// `newer`: tokens of the sequence that slice.seen does not have, and that are before the row's.
RowLists row_lists(const SequenceSlice& slice, std::span<const TokenId> newer) {
    RowLists lists;
    const auto& forbidden = slice.forbidden_tokens;
    lists.bias.reserve(slice.sampling->logit_bias.size() + forbidden.size());
    // Each token once: what is forbidden stays so whatever its bias.
    const auto add_bias = [&](TokenId token, float bias) {
        const auto is_token = [&](const auto& entry) { return entry.token == token; };
        const auto end = lists.bias.begin() +
                         static_cast<std::ptrdiff_t>(std::min(lists.bias.size(), forbidden.size()));
        if (std::find_if(lists.bias.begin(), end, is_token) == end)
            lists.bias.push_back({token, bias});
    };
    for (const TokenId token : forbidden) add_bias(token, -std::numeric_limits<float>::infinity());
    for (const auto& [token, bias] : slice.sampling->logit_bias) add_bias(token, bias);
    if (!slice.sampling->has_penalties()) return lists;
    lists.seen.reserve(slice.seen.size() + newer.size());
    for (const SeenToken& seen : slice.seen) lists.seen.push_back({seen.token, seen.num_generated});
    for (const TokenId token : newer) {
        const auto entry = std::find_if(lists.seen.begin(), lists.seen.end(),
                                        [&](const auto& seen) { return seen.token == token; });
        if (entry == lists.seen.end()) {
            lists.seen.push_back({token, 1});
        } else {
            ++entry->num_generated;
        }
    }
    return lists;
}

// The last `num_drafts` + 1 tokens but for the one that was known when the step was planned.
std::span<const TokenId> newer_tokens(const SequenceSlice& slice, std::span<const TokenId> tokens) {
    const bool is_in_flight = slice.tokens.back() == kTokenInFlight;
    return tokens.last(is_in_flight ? 1 : static_cast<std::size_t>(slice.num_draft_tokens));
}

// `slice` and `lists` must outlive the result.
kernels::SampleParams sample_params(const SequenceSlice& slice,
                                    const RowLists& lists,
                                    std::int32_t position) {
    const SamplingParams& wanted = *slice.sampling;
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

// The slices' indexes, those of one pool together, as ForwardRows::pool_rows wants them.
std::vector<std::size_t> by_pool(const StepBatch& batch) {
    std::vector<std::size_t> order(batch.slices.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return batch.slices[a].pool_index < batch.slices[b].pool_index;
    });
    return order;
}

SampledToken to_sampled_token(SequenceId sequence,
                              std::int32_t position,
                              const kernels::SampledRow& row) {
    SampledToken sample{sequence, position, row.token, row.logprob, {}, {}};
    sample.alternatives.reserve(row.alternatives.size());
    for (const kernels::TokenLogprob& other : row.alternatives)
        sample.alternatives.push_back({other.token, other.logprob});
    return sample;
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
    return {opened_.num_pools, static_cast<std::int32_t>(opened_.num_blocks)};
}

std::int32_t ModelRunner::vocab_size() const {
    return opened_.model->info().vocab_size;
}

void ModelRunner::check_slice(const SequenceSlice& slice) const {
    CHECK(slice.pool_index >= 0 && slice.pool_index < opened_.num_pools);
    CHECK(!slice.tokens.empty() && slice.first_position >= 0);
    CHECK(slice.sampling != nullptr || !(slice.is_sampled || slice.tells_prompt));
    const std::int64_t end = slice.first_position + static_cast<std::int64_t>(slice.tokens.size());
    CHECK(end <= opened_.model->info().max_positions);
    CHECK(!opened_.has_draft_layer || slice.is_sampled || slice.next_token != kTokenInFlight);
    CHECK(slice.num_wanted_drafts == 0 ||
          (opened_.has_draft_layer && slice.is_sampled && slice.tokens.back() != kTokenInFlight));
    CHECK(slice.num_draft_tokens == 0 ||
          (slice.is_sampled && slice.allowed_tokens.empty() &&
           slice.num_draft_tokens < static_cast<std::int32_t>(slice.tokens.size())));
    const std::int64_t drafts_end = end + std::max(0, slice.num_wanted_drafts - 1);
    CHECK(static_cast<std::int64_t>(slice.block_table.size()) * limits::kKvBlockTokens >=
          drafts_end);
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
    if (!batch.slices.empty()) {
        std::vector<Place> places;
        const std::vector<kernels::SampledRow> sampled = run(batch, places);
        take_prompt_tokens(batch, places, sampled, result);
        take_samples(batch, places, sampled, result);
        if (opened_.has_draft_layer) draft(batch, places, result);
    }
    done_.push_back(std::move(result));
}

// The prompt's token after each row that tells it.
std::vector<TokenId> ModelRunner::told_tokens(const SequenceSlice& slice) const {
    if (!slice.tells_prompt) return {};
    std::vector<TokenId> told(slice.tokens.begin() + 1, slice.tokens.end());
    if (!slice.is_sampled) told.push_back(slice.next_token);
    const std::int32_t num_left = std::max(slice.num_prompt_tokens - 1 - slice.first_position, 0);
    told.resize(std::min(told.size(), static_cast<std::size_t>(num_left)));
    for (const TokenId token : told) CHECK(token >= 0 && token < opened_.num_tokens);
    return told;
}

// The model over all rows, and a sample of each row that may give one.
std::vector<kernels::SampledRow> ModelRunner::run(const StepBatch& batch,
                                                  std::vector<Place>& places) {
    StepRows step;
    std::vector<kernels::SampleParams> params;
    std::deque<RowLists> lists;  // never moved: params point into it
    places.resize(batch.slices.size());
    step.rows.pool_rows.resize(static_cast<std::size_t>(opened_.num_pools));
    for (const std::size_t index : by_pool(batch)) {
        const SequenceSlice& slice = batch.slices[index];
        check_slice(slice);
        Place& place = places[index];
        place.tokens = resolved_tokens(slice);
        place.first_row = static_cast<std::int64_t>(step.rows.tokens.size());
        const std::int64_t last_row = step.add_rows(place.tokens, slice.first_position,
                                                    slice.num_prompt_tokens, slice.block_table);
        step.rows.pool_rows[static_cast<std::size_t>(slice.pool_index)] +=
            static_cast<std::int64_t>(place.tokens.size());
        place.first_told = params.size();
        for (const TokenId token : told_tokens(slice)) {
            step.rows.logit_rows.push_back(place.first_row +
                                           static_cast<std::int64_t>(place.num_told++));
            lists.push_back({{}, {}, only(token, opened_.num_tokens)});
            params.emplace_back();
            params.back().temperature = 0.0F;
            params.back().allowed = lists.back().allowed;
            params.back().num_alternatives = slice.sampling->num_alternatives;
        }
        place.first_sample = params.size();
        const std::span<const TokenId> newer = newer_tokens(slice, place.tokens);
        const std::int64_t num_drafts = slice.num_draft_tokens;
        for (std::int64_t i = -num_drafts; slice.is_sampled && i <= 0; ++i) {
            step.rows.logit_rows.push_back(last_row + i);
            lists.push_back(
                row_lists(slice, newer.first(newer.size() - static_cast<std::size_t>(-i))));
            params.push_back(sample_params(
                slice, lists.back(),
                slice.first_position +
                    static_cast<std::int32_t>(static_cast<std::int64_t>(place.tokens.size()) + i)));
        }
        place.num_samples = params.size() - place.first_sample;
    }
    const kernels::MatrixView logits = opened_.model->forward(step.rows, *opened_.cache);
    std::vector<kernels::SampledRow> sampled(params.size());
    if (!params.empty()) opened_.backend->sample(logits, params, opened_.num_tokens, sampled);
    return sampled;
}

void ModelRunner::take_prompt_tokens(const StepBatch& batch,
                                     const std::vector<Place>& places,
                                     const std::vector<kernels::SampledRow>& sampled,
                                     StepResult& result) const {
    for (std::size_t i = 0; i < places.size(); ++i) {
        const SequenceSlice& slice = batch.slices[i];
        std::int32_t position = slice.first_position;
        for (std::size_t j = 0; j < places[i].num_told; ++j) {
            const kernels::SampledRow& row = sampled[places[i].first_told + j];
            result.prompt_tokens.push_back(to_sampled_token(slice.sequence, ++position, row));
        }
    }
}

// Keeps each slice's samples up to the one at its first wrong draft.
void ModelRunner::take_samples(const StepBatch& batch,
                               std::vector<Place>& places,
                               const std::vector<kernels::SampledRow>& sampled,
                               StepResult& result) {
    last_samples_.clear();
    for (std::size_t i = 0; i < places.size(); ++i) {
        const SequenceSlice& slice = batch.slices[i];
        Place& place = places[i];
        const auto num_drafts = static_cast<std::size_t>(slice.num_draft_tokens);
        const std::size_t first_draft = place.tokens.size() - num_drafts;
        place.end_position = slice.first_position + static_cast<std::int32_t>(first_draft);
        place.last_sample = slice.next_token;
        for (std::size_t j = 0; j < place.num_samples; ++j) {
            place.last_result = result.samples.size();
            const kernels::SampledRow& row = sampled[place.first_sample + j];
            place.last_sample = last_samples_[slice.sequence] = row.token;
            result.samples.push_back(to_sampled_token(slice.sequence, place.end_position, row));
            if (j == num_drafts || place.tokens[first_draft + j] != row.token) break;
            ++place.num_accepted;
            ++place.end_position;
        }
    }
}

// The draft layer over the rows that count, each with the token that follows it.
void ModelRunner::draft(const StepBatch& batch,
                        const std::vector<Place>& places,
                        StepResult& result) {
    StepRows step;
    DraftRows drafts;
    std::vector<Chain> chains;
    step.rows.pool_rows.resize(static_cast<std::size_t>(opened_.num_pools));
    for (const std::size_t index : by_pool(batch)) {
        const SequenceSlice& slice = batch.slices[index];
        const Place& place = places[index];
        const auto num_rows = static_cast<std::size_t>(place.end_position - slice.first_position);
        std::vector<TokenId> following(
            place.tokens.begin() + 1, place.tokens.begin() + static_cast<std::ptrdiff_t>(num_rows));
        following.push_back(place.last_sample);
        for (std::size_t row = 0; row < num_rows; ++row)
            drafts.hidden_rows.push_back(place.first_row + static_cast<std::int64_t>(row));
        const std::int64_t last_row = step.add_rows(following, slice.first_position,
                                                    slice.num_prompt_tokens, slice.block_table);
        step.rows.pool_rows[static_cast<std::size_t>(slice.pool_index)] +=
            static_cast<std::int64_t>(num_rows);
        if (slice.num_wanted_drafts == 0) continue;
        step.rows.logit_rows.push_back(last_row);
        const auto newer = std::span(following).last(place.num_accepted + 1);
        chains.push_back({&slice,
                          &result.samples[place.last_result],
                          {newer.begin(), newer.end()},
                          place.end_position + 1});
    }
    drafts.rows = std::move(step.rows);
    take_drafts(drafts, chains);
    while (!chains.empty()) chains = draft_on(std::move(chains));
}

// A draft of each chain, at the wanted rows, which are as many.
void ModelRunner::take_drafts(const DraftRows& rows, std::vector<Chain>& chains) {
    const kernels::MatrixView logits = opened_.model->draft(rows, *opened_.cache);
    if (chains.empty()) return;
    std::vector<kernels::SampleParams> params;
    std::deque<RowLists> lists;  // never moved: params point into it
    for (const Chain& chain : chains) {
        lists.push_back(row_lists(*chain.slice, chain.newer));
        params.push_back(sample_params(*chain.slice, lists.back(), chain.position));
        params.back().num_alternatives = 0;
    }
    std::vector<kernels::SampledRow> sampled(params.size());
    opened_.backend->sample(logits, params, opened_.num_tokens, sampled);
    for (std::size_t i = 0; i < chains.size(); ++i) {
        chains[i].sample->drafts.push_back(sampled[i].token);
        chains[i].newer.push_back(sampled[i].token);
        ++chains[i].position;
    }
}

// One draft more of those that want one, at the row of the token before their newest draft.
std::vector<ModelRunner::Chain> ModelRunner::draft_on(std::vector<Chain> chains) {
    StepRows step;
    DraftRows drafts;
    drafts.is_chained = true;
    std::vector<Chain> longer;
    step.rows.pool_rows.resize(static_cast<std::size_t>(opened_.num_pools));
    for (std::size_t i = 0; i < chains.size(); ++i) {
        Chain& chain = chains[i];
        const SequenceSlice& slice = *chain.slice;
        const auto num_drafts = static_cast<std::int32_t>(chain.sample->drafts.size());
        if (num_drafts == slice.num_wanted_drafts) continue;
        drafts.hidden_rows.push_back(static_cast<std::int64_t>(i));
        step.rows.logit_rows.push_back(step.add_rows(std::span(chain.newer).last(1),
                                                     chain.position - 2, slice.num_prompt_tokens,
                                                     slice.block_table));
        ++step.rows.pool_rows[static_cast<std::size_t>(slice.pool_index)];
        longer.push_back(std::move(chain));
    }
    if (longer.empty()) return longer;
    drafts.rows = std::move(step.rows);
    take_drafts(drafts, longer);
    return longer;
}

StepResult ModelRunner::collect() {
    CHECK(!done_.empty());
    StepResult result = std::move(done_.front());
    done_.pop_front();
    return result;
}

}  // namespace turnpike::engine
