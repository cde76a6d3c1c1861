#include "engine/core/sequence.h"

#include <algorithm>

#include "config/base/check.h"
#include "config/base/limits.h"
#include "engine/core/block_pool.h"

namespace turnpike::engine {

Sequence::Sequence(SequenceSpec spec, std::int64_t arrival, const BlockHasher& hasher)
    : spec_(std::move(spec)), arrival_(arrival), chain_{hasher.root(spec_.cache_salt)} {
    if (spec_.sampling.has_penalties()) history_.add_prompt(spec_.prompt);
}

bool Sequence::has_next_row() const {
    if (!is_running_ || is_leaving()) return false;
    const auto num_generated = static_cast<std::int64_t>(generated_.size());
    if (num_generated + num_sampling_ >= spec_.max_tokens) return false;
    return num_unplanned() > 0 || num_sampling_ > num_planned_ - num_known();
}

std::int32_t Sequence::num_blocks_missing(std::int64_t budget) const {
    const std::int64_t count = std::min(budget, std::max<std::int64_t>(num_unplanned(), 1));
    return BlockPool::blocks_for(num_planned_ + count) - static_cast<std::int32_t>(blocks_.size());
}

TokenId Sequence::token_at(std::int64_t position) const {
    if (position < num_prompt()) return spec_.prompt[static_cast<std::size_t>(position)];
    const auto index = static_cast<std::size_t>(position - num_prompt());
    return index < generated_.size() ? generated_[index] : kTokenInFlight;
}

SequenceSlice Sequence::plan_rows(std::int64_t budget) {
    CHECK(has_next_row() && budget > 0 && num_blocks_missing(budget) <= 0);
    SequenceSlice slice;
    slice.sequence = spec_.id;
    slice.pool_index = pool_index_;
    slice.first_position = static_cast<std::int32_t>(num_planned_);
    slice.num_prompt_tokens = static_cast<std::int32_t>(num_prompt());
    slice.choice_index = spec_.choice_index;
    slice.sampling = spec_.sampling;
    const std::int64_t count = std::min(budget, std::max<std::int64_t>(num_unplanned(), 1));
    for (std::int64_t i = 0; i < count; ++i) slice.tokens.push_back(token_at(num_planned_ + i));
    num_planned_ += count;
    slice.is_sampled = num_planned_ >= num_known();
    num_sampling_ += slice.is_sampled ? 1 : 0;
    slice.block_table.assign(blocks_.begin(),
                             blocks_.begin() + BlockPool::blocks_for(num_planned_));
    if (slice.is_sampled && slice.sampling.has_penalties()) slice.seen = history_.seen();
    ++num_steps_in_flight_;
    return slice;
}

void Sequence::complete_rows(std::int64_t num_rows) {
    CHECK(num_steps_in_flight_ > 0);
    --num_steps_in_flight_;
    num_done_ += num_rows;
}

std::optional<TokenEvent> Sequence::take_sample(const SampledToken& sample) {
    CHECK(num_sampling_ > 0);
    --num_sampling_;
    if (is_ended_) return {};
    generated_.push_back(sample.token);
    if (spec_.sampling.has_penalties()) history_.add_generated(sample.token);
    TokenEvent event;
    event.sequence = spec_.id;
    event.token = sample.token;
    event.logprob = sample.logprob;
    event.alternatives = sample.alternatives;
    event.num_cached_tokens = num_cached_tokens_;
    const auto& stops = spec_.stop_tokens;
    if (std::find(stops.begin(), stops.end(), sample.token) != stops.end()) {
        event.finish_reason = FinishReason::kStop;
    } else if (static_cast<std::int32_t>(generated_.size()) >= spec_.max_tokens) {
        event.finish_reason = FinishReason::kLength;
    }
    is_ended_ = event.is_last();
    return event;
}

TokenEvent Sequence::abort() {
    is_ended_ = true;
    TokenEvent event;
    event.sequence = spec_.id;
    event.is_aborted = true;
    event.num_cached_tokens = num_cached_tokens_;
    return event;
}

void Sequence::begin(std::int32_t pool_index,
                     std::vector<BlockId> blocks,
                     std::int32_t num_cached_blocks) {
    CHECK(!is_running_ && !is_leaving());
    is_running_ = true;
    pool_index_ = pool_index;
    blocks_ = std::move(blocks);
    num_planned_ = num_done_ = std::int64_t{num_cached_blocks} * limits::kKvBlockTokens;
    num_full_blocks_ = static_cast<std::size_t>(num_cached_blocks);
    if (has_run_) return;
    has_run_ = true;
    num_cached_tokens_ = static_cast<std::int32_t>(num_done_);
}

std::vector<BlockId> Sequence::leave() {
    CHECK(is_leaving() && num_steps_in_flight_ == 0 && num_sampling_ == 0);
    is_preempted_ = is_running_ = false;
    return std::move(blocks_);
}

void Sequence::add_blocks(const std::vector<BlockId>& blocks) {
    blocks_.insert(blocks_.end(), blocks.begin(), blocks.end());
}

const BlockHash& Sequence::block_hash(std::size_t index, const BlockHasher& hasher) {
    std::vector<TokenId> tokens(limits::kKvBlockTokens);
    while (chain_.size() <= index + 1) {
        const auto first = static_cast<std::int64_t>(chain_.size() - 1) * limits::kKvBlockTokens;
        for (std::size_t i = 0; i < tokens.size(); ++i)
            tokens[i] = token_at(first + static_cast<std::int64_t>(i));
        CHECK(tokens.back() != kTokenInFlight);
        const auto num_prompt_rows =
            std::clamp<std::int64_t>(num_prompt() - first, 0, limits::kKvBlockTokens);
        chain_.push_back(
            hasher.next(chain_.back(), tokens, static_cast<std::int32_t>(num_prompt_rows)));
    }
    return chain_[index + 1];
}

std::int32_t Sequence::num_cacheable_blocks() const {
    return static_cast<std::int32_t>((num_known() - 1) / limits::kKvBlockTokens);
}

std::optional<std::size_t> Sequence::next_full_block() {
    // The newest tokens' rows can be done before their tokens are known here: never by a block's
    // worth, and a block is full when its last token is.
    const std::int64_t num_full = std::min(num_done_, num_known()) / limits::kKvBlockTokens;
    if (static_cast<std::int64_t>(num_full_blocks_) >= num_full) return {};
    return num_full_blocks_++;
}

}  // namespace turnpike::engine
