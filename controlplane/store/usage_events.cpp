// Statements on a month's usage file.
#include "controlplane/store/usage_events.h"

#include <limits>

#include "config/crypto/identifiers.h"

namespace turnpike::controlplane {
namespace {

constexpr std::string_view kInsert =
    "INSERT INTO events (request_id, org, key, model, served_model, endpoint, replica, epoch, "
    "price_version, outcome, is_billed, http_status, prompt_tokens, cached_tokens, "
    "completion_tokens, reasoning_tokens, provider_reported, cost_nano_usd, written_off_nano_usd, "
    "opened_at_us, closed_at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
    "?, ?) ON CONFLICT (request_id) DO NOTHING";

// The order of columns that read_row() knows.
#define TURNPIKE_EVENT_COLUMNS                                                                 \
    "SELECT sequence, request_id, org, key, model, served_model, endpoint, replica, epoch, "   \
    "price_version, outcome, http_status, prompt_tokens, cached_tokens, completion_tokens, "   \
    "reasoning_tokens, provider_reported, cost_nano_usd, written_off_nano_usd, opened_at_us, " \
    "closed_at_us FROM events "

Result<UsageRow> read_row(const Statement& row) {
    UsageRow usage;
    UsageRecord& record = usage.record;
    record.request_id = RequestId(row.text(1));
    record.org = OrgId(row.text(2));
    record.key = KeyId(row.text(3));
    record.model = row.text(4);
    record.served_model = row.text(5);
    record.endpoint = EndpointId(row.text(6));
    record.replica = ReplicaId(row.text(7));
    record.epoch = Epoch(row.integer(8));
    record.price_version = row.integer(9);
    const auto outcome = parse_outcome(row.text(10));
    RETURN_IF_ERROR(outcome);
    record.outcome = *outcome;
    record.http_status = row.small(11);
    record.usage = {row.integer(12), row.integer(13), row.integer(14), row.integer(15)};
    record.is_provider_reported = row.integer(16) != 0;
    usage.cost_nano_usd = row.money(17);
    usage.written_off_nano_usd = row.money(18);
    record.opened_at = row.time(19);
    record.closed_at = row.time(20);
    usage.sequence = row.integer(0);
    return usage;
}

Result<std::vector<UsageRow>> read_rows(Statement& rows, std::int64_t& last_sequence) {
    std::vector<UsageRow> usage;
    while (rows.step()) {
        auto row = read_row(rows);
        RETURN_IF_ERROR(row);
        usage.push_back(std::move(*row));
        last_sequence = rows.integer(0);
    }
    RETURN_IF_ERROR(rows.status());
    return usage;
}

Result<std::string> prefix_of_time(const RequestId& id, std::size_t size) {
    const auto time = crypto::time_of(id);
    RETURN_IF_ERROR(time);
    return format_rfc3339(*time).substr(0, size);
}

void add(TokenUsage& sum, const Statement& row, int first_column) {
    sum.prompt_tokens += row.integer(first_column);
    sum.cached_tokens += row.integer(first_column + 1);
    sum.completion_tokens += row.integer(first_column + 2);
    sum.reasoning_tokens += row.integer(first_column + 3);
}

}  // namespace

Result<std::string> month_of(const RequestId& id) {
    return prefix_of_time(id, 7);
}

Result<std::string> day_of(const RequestId& id) {
    return prefix_of_time(id, 10);
}

Result<bool> insert_event(Database& month_file, const UsageRow& row) {
    const UsageRecord& record = row.record;
    RETURN_IF_ERROR(month_file.prepare(kInsert)
                        .bind(record.request_id.value())
                        .bind(record.org.value())
                        .bind(record.key.value())
                        .bind(record.model)
                        .bind(record.served_model)
                        .bind(record.endpoint.value())
                        .bind(record.replica.value())
                        .bind(record.epoch.value())
                        .bind(record.price_version)
                        .bind(to_string(record.outcome))
                        .bind(std::int64_t{is_billed(record.outcome)})
                        .bind(std::int64_t{record.http_status})
                        .bind(record.usage.prompt_tokens)
                        .bind(record.usage.cached_tokens)
                        .bind(record.usage.completion_tokens)
                        .bind(record.usage.reasoning_tokens)
                        .bind(std::int64_t{record.is_provider_reported})
                        .bind(row.cost_nano_usd)
                        .bind(row.written_off_nano_usd)
                        .bind(record.opened_at)
                        .bind(record.closed_at)
                        .run());
    return month_file.num_changed() == 1;
}

Result<std::vector<UsageRow>> read_events_after(Database& month_file,
                                                std::int64_t sequence,
                                                std::int64_t limit,
                                                std::int64_t& last_sequence) {
    Statement rows =
        month_file.prepare(TURNPIKE_EVENT_COLUMNS "WHERE sequence > ? ORDER BY sequence LIMIT ?");
    rows.bind(sequence).bind(limit);
    return read_rows(rows, last_sequence);
}

Result<std::vector<UsageRow>> read_org_events_after(Database& month_file,
                                                    const OrgId& org,
                                                    std::int64_t sequence,
                                                    std::int64_t limit,
                                                    std::int64_t& last_sequence) {
    Statement rows = month_file.prepare(TURNPIKE_EVENT_COLUMNS
                                        "WHERE org = ? AND sequence > ? ORDER BY sequence LIMIT ?");
    rows.bind(org.value()).bind(sequence).bind(limit);
    return read_rows(rows, last_sequence);
}

Result<std::optional<UsageRow>> read_event(Database& month_file,
                                           const OrgId& org,
                                           const RequestId& id) {
    Statement rows = month_file.prepare(TURNPIKE_EVENT_COLUMNS "WHERE request_id = ? AND org = ?");
    rows.bind(id.value()).bind(org.value());
    std::int64_t sequence = 0;
    auto found = read_rows(rows, sequence);
    RETURN_IF_ERROR(found);
    if (found->empty()) return std::optional<UsageRow>();
    return std::optional<UsageRow>(std::move(found->front()));
}

Result<std::vector<UsageRow>> read_latest_events(Database& month_file,
                                                 const std::optional<OrgId>& org,
                                                 std::int64_t limit) {
    std::int64_t last_sequence = 0;
    if (org) {
        Statement rows = month_file.prepare(TURNPIKE_EVENT_COLUMNS
                                            "WHERE org = ? ORDER BY sequence DESC LIMIT ?");
        rows.bind(org->value()).bind(limit);
        return read_rows(rows, last_sequence);
    }
    Statement rows = month_file.prepare(TURNPIKE_EVENT_COLUMNS "ORDER BY sequence DESC LIMIT ?");
    rows.bind(limit);
    return read_rows(rows, last_sequence);
}

Result<std::int64_t> read_last_sequence(Database& month_file) {
    Statement row = month_file.prepare("SELECT ifnull(max(sequence), 0) FROM events");
    const std::int64_t sequence = row.step() ? row.integer(0) : 0;
    RETURN_IF_ERROR(row.status());
    return sequence;
}

Result<NanoUsd> read_cost_until(Database& month_file, std::int64_t sequence) {
    Statement row =
        month_file.prepare("SELECT ifnull(sum(cost_nano_usd), 0) FROM events WHERE sequence <= ?");
    const NanoUsd cost = row.bind(sequence).step() ? row.money(0) : NanoUsd();
    RETURN_IF_ERROR(row.status());
    return cost;
}

Status add_totals(Database& month_file, const std::optional<OrgId>& org, UsageTotals& totals) {
    Statement rows = month_file.prepare(
        "SELECT is_billed, count(*), sum(prompt_tokens), sum(cached_tokens), "
        "sum(completion_tokens), sum(reasoning_tokens), sum(cost_nano_usd), "
        "sum(written_off_nano_usd) FROM events WHERE ?1 IS NULL OR org = ?1 GROUP BY is_billed");
    if (org) {
        rows.bind(org->value());
    } else {
        rows.bind_null();
    }
    while (rows.step()) {
        const bool is_billed = rows.integer(0) != 0;
        (is_billed ? totals.num_requests : totals.num_written_off) += rows.integer(1);
        add(is_billed ? totals.billed : totals.written_off, rows, 2);
        totals.cost_nano_usd = totals.cost_nano_usd + rows.money(6);
        totals.written_off_nano_usd = totals.written_off_nano_usd + rows.money(7);
    }
    return rows.status();
}

}  // namespace turnpike::controlplane
