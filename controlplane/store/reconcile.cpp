// The checks of a reconciliation, each over rows in their order, each naming the first that does
// not fit.
#include "controlplane/store/reconcile.h"

#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "controlplane/store/ledger_chain.h"
#include "controlplane/store/minutes.h"
#include "controlplane/store/poster.h"
#include "controlplane/store/quarantine.h"
#include "controlplane/store/retired.h"
#include "controlplane/store/store.h"
#include "controlplane/store/usage_events.h"
#include "controlplane/store/usage_groups.h"

namespace turnpike::controlplane {
namespace {

constexpr std::int64_t kEventsPerRead = 1024;
constexpr std::string_view kUsageRef = "usage:";

TokenUsage operator+(const TokenUsage& a, const TokenUsage& b) {
    return {a.prompt_tokens + b.prompt_tokens, a.cached_tokens + b.cached_tokens,
            a.completion_tokens + b.completion_tokens, a.reasoning_tokens + b.reasoning_tokens};
}

// One pass over everything, in one view of control.db.
class Pass {
  public:
    Pass(const OpenBooks& books, std::map<std::int64_t, Price> prices)
        : books_(books), control_(books.control), prices_(std::move(prices)) {}

    Status run();

    Reconciliation take() { return std::move(result_); }

  private:
    Status check_chain();
    Status check_balances();
    Status check_retired();
    Status check_months();
    Status check_month(const std::string& month, Database& file);
    Status check_event(const std::string& month, const UsageRow& row, bool is_posted);
    Result<std::string> why_unpriced(const UsageRow& row) const;
    Result<std::string> why_unposted(const UsageRow& row);
    Status check_entries();
    Status check_minutes();
    Status check_quarantine();
    void count(const UsageRow& row);
    void note(const std::string& check, std::string what);

    const OpenBooks& books_;
    Database& control_;
    const std::map<std::int64_t, Price> prices_;
    Reconciliation result_;
    std::int64_t num_matched_ = 0;  // ledger transactions that belong to an event
    std::set<std::string> retired_;
};

void Pass::note(const std::string& check, std::string what) {
    for (const Misfit& misfit : result_.misfits) {
        if (misfit.check == check) return;
    }
    result_.misfits.push_back({check, std::move(what)});
}

Status Pass::run() {
    RETURN_IF_ERROR(check_chain());
    RETURN_IF_ERROR(check_balances());
    RETURN_IF_ERROR(check_retired());
    RETURN_IF_ERROR(check_months());
    RETURN_IF_ERROR(check_entries());
    RETURN_IF_ERROR(check_minutes());
    return check_quarantine();
}

Status Pass::check_chain() {
    const auto report = verify_chain(control_, books_.founded_as);
    RETURN_IF_ERROR(report);
    result_.num_links = report->num_links;
    result_.chain_head = report->head;
    if (report->fault) note("chain", *report->fault);
    return {};
}

Status Pass::check_balances() {
    Statement unbalanced = control_.prepare(
        "SELECT t.id, t.ref, sum(e.amount_nano_usd) FROM transactions t LEFT JOIN entries e ON "
        "e.transaction_id = t.id GROUP BY t.id HAVING ifnull(sum(e.amount_nano_usd), 1) <> 0 ORDER "
        "BY t.id LIMIT 1");
    if (unbalanced.step()) {
        note("ledger", "transaction " + std::to_string(unbalanced.integer(0)) + " (" +
                           unbalanced.text(1) + ") sums to " + format_usd(unbalanced.money(2)) +
                           " USD, expected zero of its entries");
    }
    RETURN_IF_ERROR(unbalanced.status());
    Statement wrong = control_.prepare(
        "SELECT a.id, a.kind, ifnull(a.org, ''), a.balance_nano_usd, ifnull(sum(e.amount_nano_usd),"
        " 0) AS total FROM accounts a LEFT JOIN entries e ON e.account_id = a.id GROUP BY a.id "
        "HAVING a.balance_nano_usd <> total ORDER BY a.id LIMIT 1");
    if (wrong.step()) {
        note("ledger", "account " + std::to_string(wrong.integer(0)) + " (" + wrong.text(1) + " " +
                           wrong.text(2) + ") has a balance of " + format_usd(wrong.money(3)) +
                           " USD, its entries sum to " + format_usd(wrong.money(4)));
    }
    return wrong.status();
}

// Events whose files were deleted: their sums must be those of the ledger.
Status Pass::check_retired() {
    const auto sums = read_retired_usage(control_);
    RETURN_IF_ERROR(sums);
    std::map<std::string, LedgerMonth> expected;
    for (const RetiredUsage& sum : *sums) {
        ReplicaUsage& replica = result_.by_replica[sum.replica];
        result_.num_events += sum.num_events;
        (sum.is_billed ? result_.num_billed : result_.num_written_off) += sum.num_events;
        TokenUsage& usage = sum.is_billed ? replica.billed : replica.written_off;
        usage = usage + sum.usage;
        result_.usage_cost_nano_usd = result_.usage_cost_nano_usd + sum.cost_nano_usd;
        LedgerMonth& month = expected[sum.month];
        month.num_transactions += sum.num_with_cost;
        month.cost_nano_usd = month.cost_nano_usd + sum.cost_nano_usd;
    }
    for (const auto& [month, wanted] : expected) {
        retired_.insert(month);
        const auto found = read_ledger_month(control_, month);
        RETURN_IF_ERROR(found);
        num_matched_ += found->num_transactions;
        const bool fits = found->num_transactions == wanted.num_transactions &&
                          found->cost_nano_usd == wanted.cost_nano_usd;
        if (fits) continue;
        note("event", "usage-" + month + ".db was deleted with " +
                          std::to_string(wanted.num_transactions) + " events that cost " +
                          format_usd(wanted.cost_nano_usd) + " USD, the ledger has " +
                          std::to_string(found->num_transactions) + " that charge " +
                          format_usd(found->cost_nano_usd));
    }
    return {};
}

Status Pass::check_months() {
    return books_.read_months([&](const std::string& month, Database& file) -> Result<bool> {
        RETURN_IF_ERROR(check_month(month, file));
        return true;
    });
}

Status Pass::check_month(const std::string& month, Database& file) {
    const auto watermark = read_watermark(control_, month);
    RETURN_IF_ERROR(watermark);
    std::int64_t last = 0;
    for (;;) {
        const auto rows = read_events_after(file, last, kEventsPerRead, last);
        RETURN_IF_ERROR(rows);
        for (const UsageRow& row : *rows)
            RETURN_IF_ERROR(check_event(month, row, row.sequence <= *watermark));
        if (rows->empty()) break;
    }
    if (last < *watermark) {
        note("event", "usage-" + month + ".db ends with event " + std::to_string(last) + ", and " +
                          std::to_string(*watermark) + " were posted");
    }
    return {};
}

void Pass::count(const UsageRow& row) {
    ReplicaUsage& replica = result_.by_replica[row.record.replica];
    const bool is_billed_row = is_billed(row.record.outcome);
    ++result_.num_events;
    ++(is_billed_row ? result_.num_billed : result_.num_written_off);
    TokenUsage& usage = is_billed_row ? replica.billed : replica.written_off;
    usage = usage + row.record.usage;
}

Status Pass::check_event(const std::string& month, const UsageRow& row, bool is_posted) {
    count(row);
    auto why = why_unpriced(row);
    RETURN_IF_ERROR(why);
    if (why->empty() && is_posted) {
        why = why_unposted(row);
        RETURN_IF_ERROR(why);
    }
    if (is_posted) {
        result_.usage_cost_nano_usd = result_.usage_cost_nano_usd + row.cost_nano_usd;
    } else {
        ++result_.num_unposted;
    }
    if (!why->empty()) {
        note("event",
             "request " + row.record.request_id.value() + " in usage-" + month + ".db: " + *why);
    }
    return {};
}

// Empty: the price version that it names makes the costs that it has.
Result<std::string> Pass::why_unpriced(const UsageRow& row) const {
    NanoUsd expected;
    if (!(row.record.usage == TokenUsage())) {
        const auto price = prices_.find(row.record.price_version);
        if (price == prices_.end()) {
            return "no price version " + std::to_string(row.record.price_version);
        }
        expected = cost_of(price->second, row.record.usage);
    }
    const NanoUsd found = row.cost_nano_usd + row.written_off_nano_usd;
    if (found == expected) return std::string();
    return "expected a cost of " + format_usd(expected) + " USD by price version " +
           std::to_string(row.record.price_version) + ", found " + format_usd(found);
}

// Empty: the ledger has exactly what the event costs, from its organisation to revenue.
Result<std::string> Pass::why_unposted(const UsageRow& row) {
    Statement entries = control_.prepare(
        "SELECT a.kind, ifnull(a.org, ''), e.amount_nano_usd FROM transactions t JOIN entries e ON "
        "e.transaction_id = t.id JOIN accounts a ON a.id = e.account_id WHERE t.ref = ? ORDER BY "
        "a.kind");
    entries.bind(std::string(kUsageRef) + row.record.request_id.value());
    std::int64_t num_entries = 0;
    bool fits = true;
    NanoUsd charged;
    while (entries.step()) {
        const bool is_prepaid = entries.text(0) == "prepaid";
        const NanoUsd amount = is_prepaid ? -entries.money(2) : entries.money(2);
        const bool is_right_account =
            is_prepaid ? entries.text(1) == row.record.org.value() : entries.text(0) == "revenue";
        fits = fits && is_right_account && amount == row.cost_nano_usd;
        if (is_prepaid) charged = amount;
        ++num_entries;
    }
    RETURN_IF_ERROR(entries.status());
    if (num_entries > 0) ++num_matched_;
    const std::int64_t expected = row.cost_nano_usd == NanoUsd() ? 0 : 2;
    if (num_entries == 0 && expected > 0) {
        return "costs " + format_usd(row.cost_nano_usd) + " USD and has no entry in the ledger";
    }
    if (fits && num_entries == expected) return std::string();
    return "expected " + format_usd(row.cost_nano_usd) + " USD from " + row.record.org.value() +
           " to revenue in the ledger, found " + std::to_string(num_entries) +
           " entries that charge " + format_usd(charged);
}

// Entries that no event explains; looked for only when there are more transactions than events.
Status Pass::check_entries() {
    Statement sum = control_.prepare(
        "SELECT count(DISTINCT t.id), ifnull(sum(-e.amount_nano_usd), 0) FROM transactions t JOIN "
        "entries e ON e.transaction_id = t.id JOIN accounts a ON a.id = e.account_id AND a.kind = "
        "'prepaid' WHERE t.ref GLOB 'usage:*'");
    if (sum.step()) {
        result_.num_transactions = sum.integer(0);
        result_.charged_nano_usd = sum.money(1);
    }
    RETURN_IF_ERROR(sum.status());
    if (result_.num_transactions == num_matched_) return {};
    std::set<std::string> known;
    RETURN_IF_ERROR(books_.read_months([&](const std::string&, Database& file) -> Result<bool> {
        Statement ids = file.prepare("SELECT request_id FROM events WHERE cost_nano_usd <> 0");
        while (ids.step()) known.insert(ids.text(0));
        RETURN_IF_ERROR(ids.status());
        return true;
    }));
    Statement refs =
        control_.prepare("SELECT id, ref FROM transactions WHERE ref GLOB 'usage:*' ORDER BY id");
    while (refs.step()) {
        const std::string id = refs.text(1).substr(kUsageRef.size());
        const auto month = month_of(RequestId(id));
        if (known.contains(id) || (month && retired_.contains(*month))) continue;
        note("entry", "transaction " + std::to_string(refs.integer(0)) + " (" + refs.text(1) +
                          ") is in the ledger and its request in no usage file");
        break;
    }
    return refs.status();
}

Status Pass::check_minutes() {
    const auto misfit = find_minute_misfit(control_);
    RETURN_IF_ERROR(misfit);
    if (*misfit) note("minutes", **misfit);
    return {};
}

Status Pass::check_quarantine() {
    const auto aside = read_quarantine(control_, std::numeric_limits<std::int64_t>::max());
    RETURN_IF_ERROR(aside);
    result_.num_quarantined = static_cast<std::int64_t>(aside->size());
    for (const QuarantinedRecord& one : *aside) {
        ReplicaUsage& replica = result_.by_replica[one.record.replica];
        replica.quarantined = replica.quarantined + one.record.usage;
    }
    if (!aside->empty()) {
        note("quarantine", "request " + aside->front().record.request_id.value() +
                               " is in quarantine: " + aside->front().reason);
    }
    return {};
}

}  // namespace

TokenUsage ReplicaUsage::sum() const {
    return billed + written_off + quarantined;
}

Result<Reconciliation> reconcile_books(const OpenBooks& books) {
    auto prices = read_price_versions(books.control);
    RETURN_IF_ERROR(prices);
    Pass pass(books, std::move(*prices));
    RETURN_IF_ERROR(pass.run());
    return pass.take();
}

Result<Reconciliation> reconcile_books(const Store& store) {
    const auto kept = store.keep_months();
    Result<Reconciliation> result = Reconciliation();
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        const OpenBooks books{control, store.founded_as(), [&store](const MonthVisitor& visitor) {
                                  return store.read_months(visitor);
                              }};
        result = reconcile_books(books);
        RETURN_IF_ERROR(result);
        return {};
    }));
    return result;
}

}  // namespace turnpike::controlplane
