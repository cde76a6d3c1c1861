// The billing statement.
#include "controlplane/store/ledger.h"

#include <map>

#include "controlplane/store/minutes.h"
#include "controlplane/store/poster.h"
#include "controlplane/store/retired.h"
#include "controlplane/store/store.h"
#include "controlplane/store/usage_events.h"

namespace turnpike::controlplane {
namespace {

// Rows with money; counts come from the rollups.
Result<std::map<std::string, BillingRow>> read_money(Database& control) {
    Statement rows = control.prepare(
        "SELECT o.id, o.name, a.balance_nano_usd, "
        "ifnull(sum(CASE WHEN t.ref NOT LIKE 'usage:%' AND t.ref NOT LIKE 'minutes:%' THEN "
        "e.amount_nano_usd ELSE 0 END), 0), "
        "ifnull(sum(CASE WHEN t.ref LIKE 'usage:%' THEN -e.amount_nano_usd ELSE 0 END), 0), "
        "ifnull(sum(CASE WHEN t.ref LIKE 'minutes:%' THEN -e.amount_nano_usd ELSE 0 END), 0) "
        "FROM organisations o JOIN accounts a ON a.kind = 'prepaid' AND a.org = o.id "
        "LEFT JOIN entries e ON e.account_id = a.id LEFT JOIN transactions t ON t.id = "
        "e.transaction_id GROUP BY o.id");
    std::map<std::string, BillingRow> by_org;
    while (rows.step()) {
        BillingRow row;
        row.org = OrgId(rows.text(0));
        row.name = rows.text(1);
        row.balance_nano_usd = rows.money(2);
        row.credited_nano_usd = rows.money(3);
        row.charged_nano_usd = rows.money(4);
        row.minutes_nano_usd = rows.money(5);
        by_org[rows.text(0)] = std::move(row);
    }
    RETURN_IF_ERROR(rows.status());
    return by_org;
}

// The sum of what the rollups say was charged.
Result<NanoUsd> add_counts(Database& control, std::map<std::string, BillingRow>& by_org) {
    Statement rows = control.prepare(
        "SELECT org, is_billed, sum(num_requests), sum(prompt_tokens), sum(cached_tokens), "
        "sum(completion_tokens), sum(reasoning_tokens), sum(cost_nano_usd) FROM rollups GROUP BY "
        "org, is_billed");
    NanoUsd cost;
    while (rows.step()) {
        BillingRow& row = by_org[rows.text(0)];
        const bool is_billed_row = rows.integer(1) != 0;
        (is_billed_row ? row.num_requests : row.num_written_off) = rows.integer(2);
        (is_billed_row ? row.billed : row.written_off) = {rows.integer(3), rows.integer(4),
                                                          rows.integer(5), rows.integer(6)};
        cost = cost + rows.money(7);
    }
    RETURN_IF_ERROR(rows.status());
    return cost;
}

Result<NanoUsd> sum_of_entries(Database& control) {
    Statement row = control.prepare("SELECT ifnull(sum(amount_nano_usd), 0) FROM entries");
    const NanoUsd sum = row.step() ? row.money(0) : NanoUsd();
    RETURN_IF_ERROR(row.status());
    return sum;
}

Result<std::int64_t> count_wrong_balances(Database& control) {
    Statement row = control.prepare(
        "SELECT count(*) FROM accounts a WHERE a.balance_nano_usd <> (SELECT "
        "ifnull(sum(e.amount_nano_usd), 0) FROM entries e WHERE e.account_id = a.id)");
    const std::int64_t count = row.step() ? row.integer(0) : 0;
    RETURN_IF_ERROR(row.status());
    return count;
}

Result<std::map<std::string, std::int64_t>> read_watermarks(Database& control) {
    Statement rows = control.prepare("SELECT month, sequence FROM posted");
    std::map<std::string, std::int64_t> watermarks;
    while (rows.step()) watermarks[rows.text(0)] = rows.integer(1);
    RETURN_IF_ERROR(rows.status());
    return watermarks;
}

struct Books {
    std::map<std::string, BillingRow> by_org;
    NanoUsd rolled_up;
    std::map<std::string, NanoUsd> minutes;
    NanoUsd entries;
    std::int64_t num_wrong_balances = 0;
    std::map<std::string, std::int64_t> watermarks;
    NanoUsd retired;  // cost of the events whose files were deleted
};

Result<Books> read_books(const Store& store) {
    Books books;
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        auto money = read_money(control);
        RETURN_IF_ERROR(money);
        books.by_org = std::move(*money);
        const auto rolled_up = add_counts(control, books.by_org);
        RETURN_IF_ERROR(rolled_up);
        books.rolled_up = *rolled_up;
        auto minutes = sum_minutes(control);
        RETURN_IF_ERROR(minutes);
        books.minutes = std::move(*minutes);
        const auto entries = sum_of_entries(control);
        RETURN_IF_ERROR(entries);
        books.entries = *entries;
        const auto num_wrong = count_wrong_balances(control);
        RETURN_IF_ERROR(num_wrong);
        books.num_wrong_balances = *num_wrong;
        auto watermarks = read_watermarks(control);
        RETURN_IF_ERROR(watermarks);
        books.watermarks = std::move(*watermarks);
        const auto retired = read_retired_usage(control);
        RETURN_IF_ERROR(retired);
        for (const RetiredUsage& sum : *retired) books.retired = books.retired + sum.cost_nano_usd;
        return {};
    }));
    return books;
}

}  // namespace

Result<BillingStatement> billing_statement(const Store& store, const std::optional<OrgId>& org) {
    const auto kept = store.keep_months();
    auto books = read_books(store);
    RETURN_IF_ERROR(books);
    BillingStatement statement;
    statement.ledger_sum_nano_usd = books->entries;
    // Files are append-only, so events up to a watermark read earlier are as they were then.
    NanoUsd posted_cost = books->retired;
    statement.usage_cost_nano_usd = books->retired;
    RETURN_IF_ERROR(
        store.read_months([&](const std::string& month, Database& file) -> Result<bool> {
            const std::int64_t watermark = books->watermarks[month];
            const auto last = read_last_sequence(file);
            RETURN_IF_ERROR(last);
            const auto posted = read_cost_until(file, watermark);
            RETURN_IF_ERROR(posted);
            const auto all = read_cost_until(file, *last);
            RETURN_IF_ERROR(all);
            posted_cost = posted_cost + *posted;
            statement.usage_cost_nano_usd = statement.usage_cost_nano_usd + *all;
            statement.num_unposted += *last - watermark;
            return true;
        }));
    NanoUsd charged;
    bool balances_agree = books->num_wrong_balances == 0;
    std::map<std::string, BillingRow> by_name;
    for (auto& [id, row] : books->by_org) {
        charged = charged + row.charged_nano_usd;
        const NanoUsd spent = row.charged_nano_usd + row.minutes_nano_usd;
        balances_agree = balances_agree && row.balance_nano_usd == row.credited_nano_usd - spent &&
                         row.minutes_nano_usd == books->minutes[id];
        if (!org || *org == row.org) by_name[row.name] = std::move(row);
    }
    for (auto& [name, row] : by_name) statement.rows.push_back(std::move(row));
    statement.agrees = balances_agree && books->entries == NanoUsd() && charged == posted_cost &&
                       charged == books->rolled_up;
    return statement;
}

}  // namespace turnpike::controlplane
