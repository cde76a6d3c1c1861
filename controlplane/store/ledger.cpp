// Credit and the billing statement.
#include "controlplane/store/ledger.h"

#include <map>

#include "config/crypto/identifiers.h"
#include "controlplane/store/ledger_entries.h"
#include "controlplane/store/poster.h"
#include "controlplane/store/publish.h"
#include "controlplane/store/store.h"
#include "controlplane/store/usage_events.h"

namespace turnpike::controlplane {
namespace {

constexpr NanoUsd kMaxCredit(1'000'000'000'000'000'000);  // 10^9 USD

// What was credited by this ref before, on the organisation's account.
Result<NanoUsd> read_amount(Database& database, const std::string& ref, std::int64_t account) {
    Statement row = database.prepare(
        "SELECT e.amount_nano_usd FROM transactions t JOIN entries e ON e.transaction_id = t.id "
        "WHERE t.ref = ? AND e.account_id = ?");
    const NanoUsd amount = row.bind(ref).bind(account).step() ? row.money(0) : NanoUsd();
    RETURN_IF_ERROR(row.status());
    return amount;
}

Status check_credit(const Credit& credit) {
    if (credit.amount == NanoUsd() || credit.amount > kMaxCredit || credit.amount < -kMaxCredit) {
        return invalid_argument("expected an amount other than zero and under 10^9 USD, found " +
                                    format_usd(credit.amount),
                                "amount_usd");
    }
    return {};
}

Status post_credit(Database& database, const Credit& credit, CreditResult& result, WallTime now) {
    const auto prepaid = prepaid_account(database, credit.org);
    RETURN_IF_ERROR(prepaid);
    const auto external = platform_account(database, "external");
    RETURN_IF_ERROR(external);
    BalanceDeltas deltas;
    const auto is_new =
        write_transaction(database, result.transaction, credit.note,
                          {{*external, -credit.amount}, {*prepaid, credit.amount}}, now, deltas);
    RETURN_IF_ERROR(is_new);
    if (*is_new) {
        RETURN_IF_ERROR(apply_deltas(database, deltas));
        RETURN_IF_ERROR(write_audit(database, "operator", "credit.add", credit.org.value(),
                                    format_usd(credit.amount) + " USD", now));
    } else {
        const auto before = read_amount(database, result.transaction, *prepaid);
        RETURN_IF_ERROR(before);
        if (*before != credit.amount) {
            return Error{ErrorCode::kConflict,
                         "this idempotency key was used for " + format_usd(*before) + " USD",
                         "idempotency_key"};
        }
    }
    const auto balance = read_balance(database, *prepaid);
    RETURN_IF_ERROR(balance);
    result.balance_nano_usd = *balance;
    return {};
}

// Rows with money; counts come from the rollups.
Result<std::map<std::string, BillingRow>> read_money(Database& control) {
    Statement rows = control.prepare(
        "SELECT o.id, o.name, a.balance_nano_usd, "
        "ifnull(sum(CASE WHEN t.ref LIKE 'credit:%' THEN e.amount_nano_usd ELSE 0 END), 0), "
        "ifnull(sum(CASE WHEN t.ref LIKE 'usage:%' THEN -e.amount_nano_usd ELSE 0 END), 0) "
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
    NanoUsd entries;
    std::int64_t num_wrong_balances = 0;
    std::map<std::string, std::int64_t> watermarks;
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
        const auto entries = sum_of_entries(control);
        RETURN_IF_ERROR(entries);
        books.entries = *entries;
        const auto num_wrong = count_wrong_balances(control);
        RETURN_IF_ERROR(num_wrong);
        books.num_wrong_balances = *num_wrong;
        auto watermarks = read_watermarks(control);
        RETURN_IF_ERROR(watermarks);
        books.watermarks = std::move(*watermarks);
        return {};
    }));
    return books;
}

}  // namespace

Result<CreditResult> add_credit(Store& store, const Credit& credit, WallTime now) {
    RETURN_IF_ERROR(check_credit(credit));
    CreditResult result;
    const std::string key = credit.idempotency_key.empty() ? crypto::new_request_id(now).value()
                                                           : credit.idempotency_key;
    result.transaction = "credit:" + credit.org.value() + ":" + key;
    RETURN_IF_ERROR(store.write(
        [&](Database& database) { return post_credit(database, credit, result, now); }));
    return result;
}

Result<BillingStatement> billing_statement(const Store& store, const std::optional<OrgId>& org) {
    auto books = read_books(store);
    RETURN_IF_ERROR(books);
    BillingStatement statement;
    statement.ledger_sum_nano_usd = books->entries;
    // Files are append-only, so events up to a watermark read earlier are as they were then.
    NanoUsd posted_cost;
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
        balances_agree =
            balances_agree && row.balance_nano_usd == row.credited_nano_usd - row.charged_nano_usd;
        if (!org || *org == row.org) by_name[row.name] = std::move(row);
    }
    for (auto& [name, row] : by_name) statement.rows.push_back(std::move(row));
    statement.agrees = balances_agree && books->entries == NanoUsd() && charged == posted_cost &&
                       charged == books->rolled_up;
    return statement;
}

}  // namespace turnpike::controlplane
