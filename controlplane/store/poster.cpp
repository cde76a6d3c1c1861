// From usage events to double entries.
#include "controlplane/store/poster.h"

#include <tuple>
#include <vector>

#include "controlplane/store/ledger_entries.h"
#include "controlplane/store/usage_events.h"

namespace turnpike::controlplane {
namespace {

using RollupKey = std::tuple<std::string, std::string, std::string, bool>;
using Rollups = std::map<RollupKey, Rollup>;

void add_to_rollups(Rollups& rollups, const UsageRow& row, const std::string& day) {
    const UsageRecord& record = row.record;
    Rollup& sum = rollups[{record.org.value(), day, record.model, is_billed(record.outcome)}];
    ++sum.num_requests;
    sum.usage.prompt_tokens += record.usage.prompt_tokens;
    sum.usage.cached_tokens += record.usage.cached_tokens;
    sum.usage.completion_tokens += record.usage.completion_tokens;
    sum.usage.reasoning_tokens += record.usage.reasoning_tokens;
    sum.cost_nano_usd = sum.cost_nano_usd + row.cost_nano_usd;
}

Status write_rollup(Database& control, const RollupKey& key, const Rollup& sum) {
    const auto& [org, day, model, is_billed_row] = key;
    return control
        .prepare(
            "INSERT INTO rollups (org, day, model, is_billed, num_requests, prompt_tokens, "
            "cached_tokens, completion_tokens, reasoning_tokens, cost_nano_usd) VALUES (?, ?, "
            "?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (org, day, model, is_billed) DO UPDATE SET "
            "num_requests = num_requests + excluded.num_requests, prompt_tokens = "
            "prompt_tokens + excluded.prompt_tokens, cached_tokens = cached_tokens + "
            "excluded.cached_tokens, completion_tokens = completion_tokens + "
            "excluded.completion_tokens, reasoning_tokens = reasoning_tokens + "
            "excluded.reasoning_tokens, cost_nano_usd = cost_nano_usd + "
            "excluded.cost_nano_usd")
        .bind(org)
        .bind(day)
        .bind(model)
        .bind(std::int64_t{is_billed_row})
        .bind(sum.num_requests)
        .bind(sum.usage.prompt_tokens)
        .bind(sum.usage.cached_tokens)
        .bind(sum.usage.completion_tokens)
        .bind(sum.usage.reasoning_tokens)
        .bind(sum.cost_nano_usd)
        .run();
}

Status move_watermark(Database& control, const std::string& month, std::int64_t sequence) {
    return control
        .prepare(
            "INSERT INTO posted (month, sequence) VALUES (?, ?) ON CONFLICT (month) DO UPDATE "
            "SET sequence = excluded.sequence")
        .bind(month)
        .bind(sequence)
        .run();
}

// What was written off, and what cost nothing, moves no money.
Status post_one(Database& control,
                const UsageRow& row,
                std::int64_t revenue,
                WallTime now,
                BalanceDeltas& deltas) {
    if (row.cost_nano_usd == NanoUsd()) return {};
    const auto prepaid = prepaid_account(control, row.record.org);
    RETURN_IF_ERROR(prepaid);
    const std::vector<LedgerEntry> entries = {{*prepaid, -row.cost_nano_usd},
                                              {revenue, row.cost_nano_usd}};
    const auto is_new = write_transaction(control, "usage:" + row.record.request_id.value(), "",
                                          entries, now, deltas);
    RETURN_IF_ERROR(is_new);
    return {};
}

}  // namespace

Result<std::int64_t> read_watermark(Database& control, const std::string& month) {
    Statement row = control.prepare("SELECT sequence FROM posted WHERE month = ?");
    const std::int64_t sequence = row.bind(month).step() ? row.integer(0) : 0;
    RETURN_IF_ERROR(row.status());
    return sequence;
}

Result<std::int64_t> post_events(Database& control,
                                 Database& month_file,
                                 const std::string& month,
                                 WallTime now) {
    const auto watermark = read_watermark(control, month);
    RETURN_IF_ERROR(watermark);
    std::int64_t last_sequence = *watermark;
    const auto rows =
        read_events_after(month_file, *watermark, kMaxEventsPerPosting, last_sequence);
    RETURN_IF_ERROR(rows);
    if (rows->empty()) return std::int64_t{0};
    const auto revenue = platform_account(control, "revenue");
    RETURN_IF_ERROR(revenue);
    BalanceDeltas deltas;
    Rollups rollups;
    for (const UsageRow& row : *rows) {
        RETURN_IF_ERROR(post_one(control, row, *revenue, now, deltas));
        const auto day = day_of(row.record.request_id);
        RETURN_IF_ERROR(day);
        add_to_rollups(rollups, row, *day);
    }
    RETURN_IF_ERROR(apply_deltas(control, deltas));
    for (const auto& [key, sum] : rollups) RETURN_IF_ERROR(write_rollup(control, key, sum));
    RETURN_IF_ERROR(move_watermark(control, month, last_sequence));
    return static_cast<std::int64_t>(rows->size());
}

}  // namespace turnpike::controlplane
