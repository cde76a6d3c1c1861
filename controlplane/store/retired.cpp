#include "controlplane/store/retired.h"

#include "config/crypto/identifiers.h"
#include "controlplane/store/audit.h"
#include "controlplane/store/month.h"
#include "controlplane/store/poster.h"
#include "controlplane/store/store.h"
#include "controlplane/store/usage_events.h"

namespace turnpike::controlplane {
namespace {

constexpr const char* kActor = "retention";
// Of a ULID: its time, which orders it.
constexpr std::size_t kTimeDigits = 10;

RetiredUsage read_row(const Statement& row, const std::string& month) {
    RetiredUsage sum;
    sum.month = month;
    sum.org = OrgId(row.text(0));
    sum.replica = ReplicaId(row.text(1));
    sum.is_billed = row.integer(2) != 0;
    sum.num_events = row.integer(3);
    sum.num_with_cost = row.integer(4);
    sum.usage = {row.integer(5), row.integer(6), row.integer(7), row.integer(8)};
    sum.cost_nano_usd = row.money(9);
    sum.written_off_nano_usd = row.money(10);
    return sum;
}

Result<std::vector<RetiredUsage>> sum_events(Database& month_file, const std::string& month) {
    Statement rows = month_file.prepare(
        "SELECT org, replica, is_billed, count(*), sum(cost_nano_usd <> 0), sum(prompt_tokens), "
        "sum(cached_tokens), sum(completion_tokens), sum(reasoning_tokens), sum(cost_nano_usd), "
        "sum(written_off_nano_usd) FROM events GROUP BY org, replica, is_billed");
    std::vector<RetiredUsage> sums;
    while (rows.step()) sums.push_back(read_row(rows, month));
    RETURN_IF_ERROR(rows.status());
    return sums;
}

Status insert_month(Database& control,
                    const std::string& month,
                    std::int64_t last_sequence,
                    WallTime now) {
    return control
        .prepare(
            "INSERT INTO retired_months (month, last_sequence, retired_at_us) VALUES (?, ?, ?)")
        .bind(month)
        .bind(last_sequence)
        .bind(now)
        .run();
}

Status insert_sum(Database& control, const RetiredUsage& sum) {
    return control
        .prepare(
            "INSERT INTO retired_usage (month, org, replica, is_billed, num_events, num_with_cost, "
            "prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, cost_nano_usd, "
            "written_off_nano_usd) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(sum.month)
        .bind(sum.org.value())
        .bind(sum.replica.value())
        .bind(std::int64_t{sum.is_billed})
        .bind(sum.num_events)
        .bind(sum.num_with_cost)
        .bind(sum.usage.prompt_tokens)
        .bind(sum.usage.cached_tokens)
        .bind(sum.usage.completion_tokens)
        .bind(sum.usage.reasoning_tokens)
        .bind(sum.cost_nano_usd)
        .bind(sum.written_off_nano_usd)
        .run();
}

std::string first_ref(WallTime from) {
    return "usage:" + crypto::new_request_id(from).value().substr(0, kTimeDigits);
}

}  // namespace

Result<bool> retire_month(Database& control,
                          Database& month_file,
                          const std::string& month,
                          WallTime now) {
    const auto watermark = read_watermark(control, month);
    RETURN_IF_ERROR(watermark);
    const auto last = read_last_sequence(month_file);
    RETURN_IF_ERROR(last);
    if (*watermark != *last) return false;
    const auto sums = sum_events(month_file, month);
    RETURN_IF_ERROR(sums);
    RETURN_IF_ERROR(insert_month(control, month, *last, now));
    std::int64_t num_events = 0;
    NanoUsd cost;
    for (const RetiredUsage& sum : *sums) {
        RETURN_IF_ERROR(insert_sum(control, sum));
        num_events += sum.num_events;
        cost = cost + sum.cost_nano_usd;
    }
    RETURN_IF_ERROR(write_audit(
        control, kActor, "usage.delete", month,
        std::to_string(num_events) + " events that cost " + format_usd(cost) + " USD", now));
    return true;
}

Result<std::vector<std::string>> read_retired_months(Database& control) {
    Statement rows = control.prepare("SELECT month FROM retired_months ORDER BY month");
    std::vector<std::string> months;
    while (rows.step()) months.push_back(rows.text(0));
    RETURN_IF_ERROR(rows.status());
    return months;
}

Result<std::vector<RetiredUsage>> read_retired_usage(Database& control) {
    Statement rows = control.prepare(
        "SELECT org, replica, is_billed, num_events, num_with_cost, prompt_tokens, cached_tokens, "
        "completion_tokens, reasoning_tokens, cost_nano_usd, written_off_nano_usd, month FROM "
        "retired_usage ORDER BY month");
    std::vector<RetiredUsage> sums;
    while (rows.step()) sums.push_back(read_row(rows, rows.text(11)));
    RETURN_IF_ERROR(rows.status());
    return sums;
}

Status check_not_retired(const Store& store, const std::string& month) {
    return store.read([&](Database& control) -> Status {
        Statement row = control.prepare("SELECT retired_at_us FROM retired_months WHERE month = ?");
        const bool is_retired = row.bind(month).step();
        RETURN_IF_ERROR(row.status());
        if (!is_retired) return {};
        return Error{ErrorCode::kNotFound,
                     "the requests of " + month + " were deleted on " +
                         format_rfc3339(row.time(0)).substr(0, 10) +
                         " by the settings' retention; their sums per day stay: `turnpike usage "
                         "days`",
                     "month"};
    });
}

Result<LedgerMonth> read_ledger_month(Database& control, const std::string& month) {
    Statement row = control.prepare(
        "SELECT count(DISTINCT t.id), ifnull(sum(-e.amount_nano_usd), 0) FROM transactions t JOIN "
        "entries e ON e.transaction_id = t.id JOIN accounts a ON a.id = e.account_id AND a.kind = "
        "'prepaid' WHERE t.ref >= ? AND t.ref < ?");
    row.bind(first_ref(begin_of_month(month, 0))).bind(first_ref(begin_of_month(month, 1)));
    LedgerMonth found;
    if (row.step()) found = {row.integer(0), row.money(1)};
    RETURN_IF_ERROR(row.status());
    return found;
}

}  // namespace turnpike::controlplane
