#include "engine/core/scheduler.h"

#include <algorithm>
#include <span>

#include "config/base/check.h"
#include "config/base/limits.h"

namespace turnpike::engine {

Status check_fits(const SequenceSpec& spec, const PoolShape& pools) {
    const auto num_positions = static_cast<std::int64_t>(spec.prompt.size()) + spec.max_tokens;
    if (BlockPool::blocks_for(num_positions) > pools.blocks_per_pool) {
        return Error{
            ErrorCode::kContextLengthExceeded,
            "prompt and max_tokens need " + std::to_string(num_positions) +
                " positions of KV cache; this engine has " +
                std::to_string(std::int64_t{pools.blocks_per_pool} * limits::kKvBlockTokens),
            "max_tokens"};
    }
    return {};
}

Scheduler::Scheduler(SchedulerOptions options, PoolShape pools)
    : options_(options), hasher_(options.cache_key) {
    for (std::int32_t i = 0; i < pools.num_pools; ++i) pools_.emplace_back(pools.blocks_per_pool);
    CHECK(!pools_.empty() && options_.max_running > 0);
    CHECK(options_.num_speculative_tokens >= 0 &&
          options_.num_speculative_tokens <= limits::kMaxSpeculativeTokens);
    CHECK(options_.max_step_tokens >= options_.max_running * (1 + options_.num_speculative_tokens));
}

Status Scheduler::add(SequenceSpec spec) {
    CHECK(!spec.prompt.empty() && spec.max_tokens >= 1);
    RETURN_IF_ERROR(
        check_fits(spec, {static_cast<std::int32_t>(pools_.size()), pools_.front().num_blocks()}));
    if (num_waiting() >= options_.max_waiting) {
        return Error{
            ErrorCode::kUnavailable, "the engine's queue is full: try again in a moment", {}};
    }
    Sequences arrived;
    arrived.emplace_back(std::move(spec), next_arrival_++, hasher_,
                         options_.num_speculative_tokens > 0, DraftGate(options_.has_draft_gate));
    CHECK(by_id_.emplace(arrived.front().spec().id, arrived.begin()).second);
    insert_ranked(arrived, arrived.begin(), waiting_);
    return {};
}

// New ones mostly go to the end.
void Scheduler::insert_ranked(Sequences& from, Sequences::iterator sequence, Sequences& to) {
    auto before = to.end();
    while (before != to.begin() && std::prev(before)->rank() > sequence->rank()) --before;
    to.splice(before, from, sequence);
}

StepBatch Scheduler::plan() {
    admit();
    StepBatch batch;
    std::vector<PlannedRows> rows;
    std::int64_t budget = options_.max_step_tokens;
    const bool is_speculating = this->is_speculating();
    const auto plan_rows = [&](Sequence& sequence) {
        const std::int32_t num_drafts = is_speculating ? num_drafts_of(sequence) : 0;
        SequenceSlice slice =
            num_drafts > 0 ? sequence.plan_drafts(num_drafts) : sequence.plan_rows(budget);
        if (is_speculating && slice.is_sampled) ask_for_drafts(sequence, slice);
        const auto num_rows = static_cast<std::int64_t>(slice.tokens.size());
        budget -= num_rows;
        rows.push_back({slice.sequence, num_rows, slice.num_draft_tokens, slice.is_sampled});
        batch.slices.push_back(std::move(slice));
    };
    // Preemption moves sequences from list to list, but not in memory.
    std::vector<Sequence*> sequences;
    for (Sequence& sequence : running_) sequences.push_back(&sequence);
    // Who generates goes first: a long prompt must not hold up the others' next tokens.
    for (Sequence* const sequence : sequences) {
        const bool is_chunk = sequence->num_unplanned() > 1;
        if (is_chunk || !sequence->has_next_row(is_speculating)) continue;
        if (grow(*sequence)) plan_rows(*sequence);
    }
    // These have had their blocks since they began, so nobody is preempted any more.
    for (Sequence* const sequence : sequences) {
        const bool is_chunk = sequence->num_unplanned() > 1;
        if (is_chunk && budget > 0 && sequence->has_next_row()) plan_rows(*sequence);
    }
    if (batch.slices.empty()) return batch;
    batch.step = next_step_++;
    planned_.push_back(std::move(rows));
    return batch;
}

void Scheduler::admit() {
    for (auto next = waiting_.begin(); next != waiting_.end();) {
        if (num_running() >= options_.max_running) return;
        const auto sequence = next++;
        if (sequence->awaited && expected_.contains(*sequence->awaited)) continue;
        sequence->awaited.reset();
        const std::vector<Placement> possible = placements(*sequence);
        if (is_computed_elsewhere(*sequence, possible.front())) continue;
        const bool has_begun =
            std::any_of(possible.begin(), possible.end(),
                        [&](const Placement& placement) { return try_begin(sequence, placement); });
        if (!has_begun) return;  // nobody overtakes it
    }
}

// One for each pool; most cached blocks first, then most room.
std::vector<Scheduler::Placement> Scheduler::placements(Sequence& sequence) {
    const std::int32_t num_cacheable =
        options_.has_prefix_cache ? sequence.num_cacheable_blocks() : 0;
    std::vector<Placement> found;
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(pools_.size()); ++i) {
        Placement placement{i, {}};
        for (std::int32_t index = 0; index < num_cacheable; ++index) {
            const auto block =
                pool(i).find(sequence.block_hash(static_cast<std::size_t>(index), hasher_));
            if (!block) break;
            placement.cached.push_back(*block);
        }
        found.push_back(std::move(placement));
    }
    std::stable_sort(found.begin(), found.end(), [&](const Placement& a, const Placement& b) {
        if (a.cached.size() != b.cached.size()) return a.cached.size() > b.cached.size();
        return pool(a.pool_index).num_free() > pool(b.pool_index).num_free();
    });
    return found;
}

bool Scheduler::is_computed_elsewhere(Sequence& sequence, const Placement& best) {
    const std::size_t next = best.cached.size();
    if (!options_.has_prefix_cache ||
        static_cast<std::int32_t>(next) >= sequence.num_cacheable_blocks())
        return false;
    const BlockHash& hash = sequence.block_hash(next, hasher_);
    if (!expected_.contains(hash)) return false;
    sequence.awaited = hash;
    return true;
}

bool Scheduler::try_begin(Sequences::iterator sequence, const Placement& placement) {
    BlockPool& pool = this->pool(placement.pool_index);
    const auto num_cached = static_cast<std::int32_t>(placement.cached.size());
    const std::int32_t num_new = BlockPool::blocks_for(sequence->num_known()) - num_cached;
    // Owned first, so that making room for the new ones does not drop them.
    for (const BlockId block : placement.cached) pool.share(block);
    // Room for everybody to grow by a block: else it would soon be sent back.
    const std::int32_t num_spare = num_running();
    auto blocks = pool.num_free() - num_spare >= num_new ? pool.allocate(num_new) : std::nullopt;
    if (!blocks) {
        pool.free(placement.cached);
        return false;
    }
    blocks->insert(blocks->begin(), placement.cached.begin(), placement.cached.end());
    if (!sequence->has_run()) begun_.push_back(sequence->spec().id);
    sequence->begin(placement.pool_index, *std::move(blocks), num_cached);
    counters_.num_cache_queried_tokens += sequence->num_known();
    counters_.num_cache_hit_tokens += std::int64_t{num_cached} * limits::kKvBlockTokens;
    expect_blocks(*sequence, num_cached);
    insert_ranked(waiting_, sequence, running_);
    return true;
}

void Scheduler::expect_blocks(Sequence& sequence, std::int32_t num_cached) {
    if (!options_.has_prefix_cache) return;
    const auto num_full = static_cast<std::size_t>(sequence.num_hashable_blocks());
    for (auto i = static_cast<std::size_t>(num_cached); i < num_full; ++i) {
        const BlockHash& hash = sequence.block_hash(i, hasher_);
        if (expected_.emplace(hash, sequence.spec().id).second)
            expected_of_[sequence.spec().id].push_back(hash);
    }
}

void Scheduler::forget_expected(SequenceId id) {
    const auto entry = expected_of_.find(id);
    if (entry == expected_of_.end()) return;
    for (const BlockHash& hash : entry->second) expected_.erase(hash);
    expected_of_.erase(entry);
}

bool Scheduler::is_speculating() const {
    return options_.num_speculative_tokens > 0 && num_running() <= options_.max_speculating;
}

// How many drafts follow the next row, whose block is there.
std::int32_t Scheduler::num_drafts_of(Sequence& sequence) {
    std::int32_t num_drafts = sequence.num_next_drafts();
    while (num_drafts > 0 && !grow_freely(sequence, 1 + num_drafts)) --num_drafts;
    return num_drafts;
}

// Every draft but the first takes a position in the draft layer's cache.
void Scheduler::ask_for_drafts(Sequence& sequence, SequenceSlice& slice) {
    std::int32_t wanted = sequence.ask_for_drafts(options_.num_speculative_tokens);
    while (wanted > 1 && !grow_freely(sequence, wanted - 1)) --wanted;
    slice.num_wanted_drafts = wanted;
    if (wanted > 1) sequence.cover(slice, wanted - 1);
}

// Makes sure of the blocks for so many rows more if there are free ones.
bool Scheduler::grow_freely(Sequence& sequence, std::int32_t num_rows) {
    const std::int32_t num_missing = sequence.num_blocks_missing(num_rows);
    if (num_missing <= 0) return true;
    const auto blocks = pool(sequence.pool_index()).allocate(num_missing);
    if (blocks) sequence.add_blocks(*blocks);
    return blocks.has_value();
}

// Makes sure of the block for the next row. False when the sequence cannot go on in this step.
bool Scheduler::grow(Sequence& sequence) {
    while (sequence.is_running() && !sequence.is_leaving()) {
        const std::int32_t num_missing = sequence.num_blocks_missing(1);
        if (num_missing <= 0) return true;
        if (const auto blocks = pool(sequence.pool_index()).allocate(num_missing)) {
            sequence.add_blocks(*blocks);
        } else if (!preempt_last(sequence.pool_index())) {
            return false;
        }
    }
    return false;
}

// The last in rank of those that use the pool gives its blocks back, now or when the steps that use
// them are done. False when they are still in use, or those of one before.
bool Scheduler::preempt_last(std::int32_t pool_index) {
    const auto uses_pool = [&](const Sequence& sequence) {
        return sequence.pool_index() == pool_index;
    };
    const auto is_leaving = [&](const Sequence& sequence) {
        return uses_pool(sequence) && sequence.is_leaving();
    };
    if (std::any_of(running_.begin(), running_.end(), is_leaving)) return false;
    const auto last = std::find_if(running_.rbegin(), running_.rend(), uses_pool);
    CHECK(last != running_.rend());
    const auto victim = std::prev(last.base());
    victim->preempt();
    ++counters_.num_preemptions;
    const bool is_free = victim->num_steps_in_flight() == 0;
    settle(victim);
    return is_free;
}

std::vector<TokenEvent> Scheduler::collect(const StepResult& result) {
    CHECK(!planned_.empty());
    const std::vector<PlannedRows> rows = std::move(planned_.front());
    planned_.pop_front();
    std::vector<TokenEvent> events;
    events.reserve(result.samples.size());
    auto next = result.samples.begin();
    auto next_told = result.prompt_tokens.begin();
    // What a step gave one sequence: the leading ones of `from`.
    const auto take = [](const std::vector<SampledToken>& all, auto& from, SequenceId id) {
        const auto first = from;
        while (from != all.end() && from->sequence == id) ++from;
        return std::span<const SampledToken>(first, from);
    };
    for (const PlannedRows& planned : rows) {
        const auto samples = take(result.samples, next, planned.sequence);
        const auto told = take(result.prompt_tokens, next_told, planned.sequence);
        const auto sequence = by_id_.at(planned.sequence);
        for (TokenEvent& event : sequence->complete_rows(planned, samples, told))
            events.push_back(std::move(event));
        count_drafts(planned, samples.size());
        publish_full_blocks(*sequence);
        settle(sequence);
    }
    CHECK(next == result.samples.end() && next_told == result.prompt_tokens.end());
    return events;
}

void Scheduler::count_drafts(const PlannedRows& rows, std::size_t num_samples) {
    if (rows.num_draft_tokens == 0) return;
    ++counters_.num_drafts;
    counters_.num_draft_tokens += rows.num_draft_tokens;
    const std::size_t num_accepted = num_samples - 1;
    counters_.num_accepted_tokens += static_cast<std::int64_t>(num_accepted);
    for (std::size_t i = 0; i < num_accepted; ++i) ++counters_.num_accepted_at[i];
}

void Scheduler::publish_full_blocks(Sequence& sequence) {
    if (!options_.has_prefix_cache) return;
    while (const auto index = sequence.next_full_block()) {
        const BlockHash& hash = sequence.block_hash(*index, hasher_);
        pool(sequence.pool_index()).publish(sequence.block(*index), hash);
        expected_.erase(hash);
    }
}

std::optional<TokenEvent> Scheduler::abort(SequenceId id) {
    const auto entry = by_id_.find(id);
    if (entry == by_id_.end() || entry->second->is_ended()) return {};
    const auto sequence = entry->second;
    const TokenEvent event = sequence->abort();
    if (sequence->is_running()) {
        settle(sequence);
    } else {
        by_id_.erase(entry);
        waiting_.erase(sequence);
    }
    return event;
}

// Gives the blocks back of a sequence that leaves, as soon as no step uses them.
void Scheduler::settle(Sequences::iterator sequence) {
    if (!sequence->is_leaving() || sequence->num_steps_in_flight() > 0) return;
    forget_expected(sequence->spec().id);
    pool(sequence->pool_index()).free(sequence->leave());
    if (sequence->is_ended()) {
        by_id_.erase(sequence->spec().id);
        running_.erase(sequence);
    } else {
        insert_ranked(running_, sequence, waiting_);
    }
}

std::int64_t Scheduler::num_blocks_free() const {
    std::int64_t total = 0;
    for (const BlockPool& pool : pools_) total += pool.num_free();
    return total;
}

std::int64_t Scheduler::num_blocks() const {
    std::int64_t total = 0;
    for (const BlockPool& pool : pools_) total += pool.num_blocks();
    return total;
}

}  // namespace turnpike::engine
