#include "engine/core/sequence.h"

#include <algorithm>

#include "config/base/check.h"
#include "config/base/limits.h"
#include "engine/core/block_pool.h"

namespace turnpike::engine {
namespace {

// Bounds what the logits of a prompt's rows take: 33 MB with R1's vocabulary.
constexpr std::int64_t kMaxToldRows = 64;

}  // namespace

Sequence::Sequence(SequenceSpec spec,
                   std::int64_t arrival,
                   const BlockHasher& hasher,
                   bool has_draft_cache,
                   DraftGate draft_gate)
    : spec_(std::move(spec)),
      arrival_(arrival),
      num_lookahead_(has_draft_cache ? 1 : 0),
      draft_gate_(draft_gate),
      chain_{hasher.root(spec_.cache_salt)} {
    if (spec_.sampling.has_penalties()) history_.add_prompt(spec_.prompt);
}

bool Sequence::has_next_row(bool is_speculating) const {
    // How many tokens a step with drafts gives, and so which row is next, is known at its end.
    if (!is_running_ || is_leaving() || num_drafts_planned_ > 0) return false;
    const bool needs_newest = is_draft_asked_ || draft_gate_.is_due();
    if (is_speculating && num_sampling_ > 0 && needs_newest) return false;
    const auto num_generated = static_cast<std::int64_t>(generated_.size());
    if (num_generated + num_sampling_ >= spec_.max_tokens) return false;
    return num_unplanned() > 0 || num_sampling_ > num_planned_ - num_known();
}

std::int32_t Sequence::num_next_drafts() const {
    if (num_sampling_ > 0 || num_unplanned() != 1) return 0;
    const auto num_generated = static_cast<std::int64_t>(generated_.size());
    // The row samples one token, and each draft's row one more.
    std::int64_t most = spec_.max_tokens - num_generated - 1;
    // All rows of the step are sampled alike: with or without the stop tokens.
    if (num_generated < spec_.min_tokens)
        most = std::min(most, spec_.min_tokens - num_generated - 1);
    return static_cast<std::int32_t>(
        std::clamp<std::int64_t>(most, 0, static_cast<std::int64_t>(drafts_.size())));
}

// How many drafts max_tokens leaves room for after the tokens of the planned steps.
std::int64_t Sequence::num_usable_drafts() const {
    // Beyond all that the planned steps may give: the drafts, and the token sampled after them.
    const auto num_generated = static_cast<std::int64_t>(generated_.size());
    return spec_.max_tokens - num_generated - num_sampling_ - num_drafts_planned_ - 1;
}

std::int32_t Sequence::ask_for_drafts(std::int32_t most) {
    const auto usable =
        static_cast<std::int32_t>(std::min<std::int64_t>(num_usable_drafts(), most));
    is_draft_asked_ = usable > 0 && draft_gate_.take_step();
    return is_draft_asked_ ? draft_gate_.depth(usable) : 0;
}

std::int64_t Sequence::num_next_rows(std::int64_t budget) const {
    const std::int64_t most = tells_prompt() ? std::min(budget, kMaxToldRows) : budget;
    return std::min(most, std::max<std::int64_t>(num_unplanned(), 1));
}

std::int32_t Sequence::num_blocks_missing(std::int64_t num_rows) const {
    return BlockPool::blocks_for(num_planned_ + num_rows) -
           static_cast<std::int32_t>(blocks_.size());
}

TokenId Sequence::token_at(std::int64_t position) const {
    if (position < num_prompt()) return spec_.prompt[static_cast<std::size_t>(position)];
    const auto index = static_cast<std::size_t>(position - num_prompt());
    return index < generated_.size() ? generated_[index] : kTokenInFlight;
}

SequenceSlice Sequence::plan_rows(std::int64_t budget) {
    CHECK(budget > 0);
    return plan_slice(num_next_rows(budget));
}

SequenceSlice Sequence::plan_drafts(std::int32_t num_drafts) {
    CHECK(num_drafts > 0 && num_drafts <= num_next_drafts());
    CHECK(num_blocks_missing(1 + num_drafts) <= 0);
    SequenceSlice slice = plan_slice(1);
    slice.tokens.insert(slice.tokens.end(), drafts_.begin(), drafts_.begin() + num_drafts);
    slice.num_draft_tokens = num_drafts;
    num_planned_ += num_drafts;
    cover(slice, 0);
    drafts_.clear();
    num_drafts_planned_ = num_drafts;
    return slice;
}

void Sequence::cover(SequenceSlice& slice, std::int32_t num_positions) const {
    CHECK(num_blocks_missing(num_positions) <= 0);
    slice.block_table.assign(blocks_.begin(),
                             blocks_.begin() + BlockPool::blocks_for(num_planned_ + num_positions));
}

SequenceSlice Sequence::plan_slice(std::int64_t num_rows) {
    CHECK(has_next_row() && num_blocks_missing(num_rows) <= 0);
    SequenceSlice slice;
    slice.sequence = spec_.id;
    slice.pool_index = pool_index_;
    slice.first_position = static_cast<std::int32_t>(num_planned_);
    slice.num_prompt_tokens = static_cast<std::int32_t>(num_prompt());
    slice.choice_index = spec_.choice_index;
    slice.sampling = &spec_.sampling;
    slice.tokens.reserve(static_cast<std::size_t>(num_rows) + drafts_.size());
    for (std::int64_t i = 0; i < num_rows; ++i) slice.tokens.push_back(token_at(num_planned_ + i));
    slice.tells_prompt = tells_prompt();
    num_planned_ += num_rows;
    slice.is_sampled = num_planned_ >= num_known();
    num_sampling_ += slice.is_sampled ? 1 : 0;
    if (!slice.is_sampled) slice.next_token = token_at(num_planned_);
    cover(slice, 0);
    if (slice.is_sampled && spec_.sampling.has_penalties()) slice.seen = history_.seen();
    if (slice.is_sampled && forbids_stop_tokens()) slice.forbidden_tokens = spec_.stop_tokens;
    ++num_steps_in_flight_;
    return slice;
}

// Rows whose logprobs are told already run again after a preemption.
bool Sequence::tells_prompt() const {
    return spec_.wants_prompt_logprobs && num_told_ < num_prompt() &&
           num_planned_ < num_prompt() - 1;
}

bool Sequence::forbids_stop_tokens() const {
    return num_planned_ - num_prompt() < spec_.min_tokens;
}

std::vector<TokenEvent> Sequence::complete_rows(const PlannedRows& rows,
                                                std::span<const SampledToken> samples,
                                                std::span<const SampledToken> prompt_tokens) {
    const auto num_samples = static_cast<std::int32_t>(samples.size());
    const std::int32_t num_certain = rows.is_sampled ? 1 : 0;
    const std::int32_t num_accepted = num_samples - num_certain;
    CHECK(num_steps_in_flight_ > 0 && num_sampling_ >= num_certain);
    CHECK(num_accepted >= 0 && num_accepted <= rows.num_draft_tokens);
    --num_steps_in_flight_;
    num_sampling_ -= num_certain;
    // The rows of refused drafts are planned again, with the right tokens.
    const std::int32_t num_refused = rows.num_draft_tokens - num_accepted;
    learn_from_drafts(rows, num_accepted);
    num_planned_ -= num_refused;
    num_done_ += rows.num_rows - num_refused;
    std::vector<TokenEvent> events;
    TokenEvent told;
    told.sequence = spec_.id;
    for (const SampledToken& token : prompt_tokens) {
        if (token.position != num_told_ || is_ended_) continue;
        told.prompt_tokens.push_back(token);
        ++num_told_;
    }
    if (!told.prompt_tokens.empty()) events.push_back(std::move(told));
    for (const SampledToken& sample : samples) {
        if (!is_ended_) events.push_back(take_sample(sample));
    }
    // Of no use when a later step already samples that token.
    if (num_samples > 0 && num_sampling_ == 0) {
        is_draft_asked_ = false;
        drafts_ = samples.back().drafts;
        // A probe is asked for by a step that checks none: this one was asked for before the gate
        // closed, and checking it would cost the next step a row.
        if (rows.num_draft_tokens > 0 && !draft_gate_.is_open()) drafts_.clear();
    }
    return events;
}

void Sequence::learn_from_drafts(const PlannedRows& rows, std::int32_t num_accepted) {
    if (rows.num_draft_tokens == 0) return;
    num_drafts_planned_ = 0;
    for (std::int32_t i = 0; i < rows.num_draft_tokens && i <= num_accepted; ++i)
        draft_gate_.learn(i < num_accepted);
}

TokenEvent Sequence::take_sample(const SampledToken& sample) {
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
    drafts_.clear();
    return std::move(blocks_);
}

void Sequence::add_blocks(const std::vector<BlockId>& blocks) {
    blocks_.insert(blocks_.end(), blocks.begin(), blocks.end());
}

const BlockHash& Sequence::block_hash(std::size_t index, const BlockHasher& hasher) {
    std::vector<TokenId> tokens(static_cast<std::size_t>(limits::kKvBlockTokens + num_lookahead_));
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

std::int64_t Sequence::num_hashable_blocks() const {
    return (num_known() - num_lookahead_) / limits::kKvBlockTokens;
}

std::int32_t Sequence::num_cacheable_blocks() const {
    // A row from the cache has no logits.
    if (spec_.wants_prompt_logprobs && num_told_ < num_prompt()) return 0;
    return static_cast<std::int32_t>((num_known() - 1) / limits::kKvBlockTokens);
}

std::optional<std::size_t> Sequence::next_full_block() {
    // The newest tokens' rows can be done before their tokens are known here: never by a block's
    // worth, and a block is full when its last token is.
    const std::int64_t num_full =
        std::min(num_done_ / limits::kKvBlockTokens, num_hashable_blocks());
    if (static_cast<std::int64_t>(num_full_blocks_) >= num_full) return {};
    return num_full_blocks_++;
}

}  // namespace turnpike::engine
