// Reading of usage across the months' files.
#include "controlplane/store/usage.h"

#include "controlplane/store/csv.h"
#include "controlplane/store/retired.h"
#include "controlplane/store/store.h"
#include "controlplane/store/usage_events.h"

namespace turnpike::controlplane {
namespace {

void add(TokenUsage& sum, const TokenUsage& more) {
    sum.prompt_tokens += more.prompt_tokens;
    sum.cached_tokens += more.cached_tokens;
    sum.completion_tokens += more.completion_tokens;
    sum.reasoning_tokens += more.reasoning_tokens;
}

// What the files that were deleted had.
Status add_retired(const Store& store, const std::optional<OrgId>& org, UsageTotals& totals) {
    return store.read([&](Database& control) -> Status {
        const auto sums = read_retired_usage(control);
        RETURN_IF_ERROR(sums);
        for (const RetiredUsage& sum : *sums) {
            if (org && sum.org != *org) continue;
            (sum.is_billed ? totals.num_requests : totals.num_written_off) += sum.num_events;
            add(sum.is_billed ? totals.billed : totals.written_off, sum.usage);
            totals.cost_nano_usd = totals.cost_nano_usd + sum.cost_nano_usd;
            totals.written_off_nano_usd = totals.written_off_nano_usd + sum.written_off_nano_usd;
        }
        return {};
    });
}

}  // namespace

Result<UsageListing> list_usage(const Store& store,
                                const std::optional<OrgId>& org,
                                std::int64_t limit) {
    const auto kept = store.keep_months();
    UsageListing listing;
    RETURN_IF_ERROR(add_retired(store, org, listing.totals));
    RETURN_IF_ERROR(store.read_months([&](const std::string&, Database& file) -> Result<bool> {
        RETURN_IF_ERROR(add_totals(file, org, listing.totals));
        const std::int64_t room = limit - static_cast<std::int64_t>(listing.rows.size());
        if (room <= 0) return true;
        auto rows = read_latest_events(file, org, room);
        RETURN_IF_ERROR(rows);
        for (UsageRow& row : *rows) listing.rows.push_back(std::move(row));
        return true;
    }));
    return listing;
}

Result<UsageRow> find_usage(const Store& store, const OrgId& org, const RequestId& id) {
    const Error unknown{ErrorCode::kNotFound, "no generation '" + excerpt(id.value()) + "'", "id"};
    const auto wanted = month_of(id);
    if (!wanted) return unknown;
    Result<UsageRow> found = unknown;
    RETURN_IF_ERROR(
        store.read_months([&](const std::string& month, Database& file) -> Result<bool> {
            if (month != *wanted) return true;
            auto row = read_event(file, org, id);
            RETURN_IF_ERROR(row);
            if (*row) found = std::move(**row);
            return false;
        }));
    return found;
}

Result<UsagePage> page_usage(const Store& store,
                             const OrgId& org,
                             const std::string& month,
                             std::int64_t after,
                             std::int64_t limit) {
    const auto kept = store.keep_months();
    RETURN_IF_ERROR(check_not_retired(store, month));
    UsagePage page;
    RETURN_IF_ERROR(
        store.read_months([&](const std::string& found, Database& file) -> Result<bool> {
            if (found != month) return true;
            std::int64_t last = after;
            auto rows = read_org_events_after(file, org, after, limit, last);
            RETURN_IF_ERROR(rows);
            if (static_cast<std::int64_t>(rows->size()) == limit) page.next_after = last;
            page.rows = std::move(*rows);
            return false;
        }));
    return page;
}

std::string usage_csv_header() {
    return csv_row({"request_id", "opened_at", "closed_at", "organisation", "key", "model",
                    "served_model", "outcome", "billed", "http_status", "price_version",
                    "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens",
                    "cost_usd", "written_off_usd"});
}

std::string write_csv(const std::vector<UsageRow>& rows) {
    std::string csv;
    for (const UsageRow& row : rows) {
        const UsageRecord& record = row.record;
        const TokenUsage& usage = record.usage;
        csv +=
            csv_row({record.request_id.value(), format_rfc3339(record.opened_at),
                     format_rfc3339(record.closed_at), record.org.value(), record.key.value(),
                     record.model, record.served_model, std::string(to_string(record.outcome)),
                     is_billed(record.outcome) ? "yes" : "no", std::to_string(record.http_status),
                     std::to_string(record.price_version), std::to_string(usage.prompt_tokens),
                     std::to_string(usage.cached_tokens), std::to_string(usage.completion_tokens),
                     std::to_string(usage.reasoning_tokens), format_usd(row.cost_nano_usd),
                     format_usd(row.written_off_nano_usd)});
    }
    return csv;
}

Status visit_usage(const Store& store,
                   const ReplicaId& replica,
                   const std::function<Result<bool>(const UsageRow&)>& visit) {
    constexpr std::int64_t kRowsPerRead = 1024;
    return store.read_months([&](const std::string&, Database& file) -> Result<bool> {
        std::int64_t sequence = 0;
        for (;;) {
            const auto rows = read_events_after(file, sequence, kRowsPerRead, sequence);
            RETURN_IF_ERROR(rows);
            if (rows->empty()) return true;
            for (const UsageRow& row : *rows) {
                if (row.record.replica != replica) continue;
                const auto goes_on = visit(row);
                RETURN_IF_ERROR(goes_on);
                if (!*goes_on) return false;
            }
        }
    });
}

Result<std::vector<Rollup>> list_rollups(const Store& store, const std::optional<OrgId>& org) {
    std::vector<Rollup> rollups;
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        Statement rows = control.prepare(
            "SELECT org, day, model, is_billed, num_requests, prompt_tokens, cached_tokens, "
            "completion_tokens, reasoning_tokens, cost_nano_usd FROM rollups WHERE ?1 = '' OR org "
            "= ?1 ORDER BY org, day, model, is_billed DESC");
        rows.bind(org ? org->value() : std::string());
        while (rows.step()) {
            rollups.push_back({OrgId(rows.text(0)),
                               rows.text(1),
                               rows.text(2),
                               rows.integer(3) != 0,
                               rows.integer(4),
                               {rows.integer(5), rows.integer(6), rows.integer(7), rows.integer(8)},
                               rows.money(9)});
        }
        return rows.status();
    }));
    return rollups;
}

}  // namespace turnpike::controlplane
