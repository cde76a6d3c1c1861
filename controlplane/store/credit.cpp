// Credit and reversals as balanced ledger transactions.
#include "controlplane/store/credit.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "config/crypto/identifiers.h"
#include "controlplane/store/audit.h"
#include "controlplane/store/ledger_entries.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

constexpr NanoUsd kMaxCredit(1'000'000'000'000'000'000);  // 10^9 USD
constexpr std::string_view kReversal = "reversal:";

struct KindInfo {
    CreditKind kind;
    std::string_view name;
    std::string_view prefix;   // of the transaction's ref
    std::string_view account;  // of the platform
};

constexpr std::array<KindInfo, 3> kKinds{
    {{CreditKind::kAdd, "add", "credit:", "external"},
     {CreditKind::kRefund, "refund", "refund:", "external"},
     {CreditKind::kAdjust, "adjust", "adjust:", "adjustments"}}};

const KindInfo& info_of(CreditKind kind) {
    for (const KindInfo& info : kKinds) {
        if (info.kind == kind) return info;
    }
    CHECK(false && "unknown CreditKind");
}

// What the organisation's account gets.
NanoUsd prepaid_amount(const Credit& credit) {
    return credit.kind == CreditKind::kRefund ? -credit.amount : credit.amount;
}

// What was booked by this ref before, on the organisation's account.
Result<NanoUsd> read_amount(Database& database, const std::string& ref, std::int64_t account) {
    Statement row = database.prepare(
        "SELECT e.amount_nano_usd FROM transactions t JOIN entries e ON e.transaction_id = t.id "
        "WHERE t.ref = ? AND e.account_id = ?");
    const NanoUsd amount = row.bind(ref).bind(account).step() ? row.money(0) : NanoUsd();
    RETURN_IF_ERROR(row.status());
    return amount;
}

Status check_credit(const Credit& credit) {
    const bool may_be_negative = credit.kind == CreditKind::kAdjust;
    const bool is_small = credit.amount <= kMaxCredit && credit.amount >= -kMaxCredit;
    if (credit.amount == NanoUsd() || !is_small || (credit.amount < NanoUsd() && !may_be_negative))
        return invalid_argument(
            std::string("expected an amount ") + (may_be_negative ? "other" : "of more") +
                " than zero and at most 10^9 USD, found " + format_usd(credit.amount),
            "amount_usd");
    if (credit.note.empty() && credit.kind != CreditKind::kAdd)
        return invalid_argument("expected a reason", "note");
    return {};
}

// A refund cannot make debts.
Status check_balance(Database& database, const Credit& credit, std::int64_t prepaid) {
    if (credit.kind != CreditKind::kRefund) return {};
    const auto balance = read_balance(database, prepaid);
    RETURN_IF_ERROR(balance);
    // Read after the entries were written.
    if (*balance >= NanoUsd()) return {};
    return Error{ErrorCode::kConflict,
                 "expected a refund of at most the balance, " +
                     format_usd(*balance + credit.amount) + " USD, found " +
                     format_usd(credit.amount),
                 "amount_usd"};
}

Status check_repetition(Database& database,
                        const Credit& credit,
                        const std::string& ref,
                        std::int64_t prepaid) {
    const auto before = read_amount(database, ref, prepaid);
    RETURN_IF_ERROR(before);
    if (*before == prepaid_amount(credit)) return {};
    return Error{ErrorCode::kConflict,
                 "this idempotency key was used for " + format_usd(*before) + " USD",
                 "idempotency_key"};
}

Status post_credit(Database& database, const Credit& credit, CreditResult& result, WallTime now) {
    const KindInfo& info = info_of(credit.kind);
    const auto prepaid = prepaid_account(database, credit.org);
    RETURN_IF_ERROR(prepaid);
    const auto platform = platform_account(database, info.account);
    RETURN_IF_ERROR(platform);
    const NanoUsd amount = prepaid_amount(credit);
    BalanceDeltas deltas;
    const auto is_new = write_transaction(database, result.transaction, credit.note,
                                          {{*platform, -amount}, {*prepaid, amount}}, now, deltas);
    RETURN_IF_ERROR(is_new);
    if (*is_new) {
        RETURN_IF_ERROR(apply_deltas(database, deltas));
        RETURN_IF_ERROR(check_balance(database, credit, *prepaid));
        RETURN_IF_ERROR(write_audit(database, "operator", "credit." + std::string(info.name),
                                    credit.org.value(),
                                    format_usd(credit.amount) + " USD: " + credit.note, now));
    } else {
        RETURN_IF_ERROR(check_repetition(database, credit, result.transaction, *prepaid));
    }
    const auto balance = read_balance(database, *prepaid);
    RETURN_IF_ERROR(balance);
    result.balance_nano_usd = *balance;
    return {};
}

Result<std::vector<LedgerEntry>> read_entries(Database& database, const std::string& ref) {
    Statement rows = database.prepare(
        "SELECT e.account_id, e.amount_nano_usd FROM transactions t JOIN entries e ON "
        "e.transaction_id = t.id WHERE t.ref = ? ORDER BY e.account_id");
    rows.bind(ref);
    std::vector<LedgerEntry> entries;
    while (rows.step()) entries.push_back({rows.integer(0), rows.money(1)});
    RETURN_IF_ERROR(rows.status());
    if (entries.empty()) {
        return Error{ErrorCode::kNotFound, "no ledger transaction '" + excerpt(ref) + "'",
                     "transaction"};
    }
    return entries;
}

// Of the one organisation that the entries touch.
Result<NanoUsd> read_prepaid_balance(Database& database, const std::vector<LedgerEntry>& entries) {
    NanoUsd balance;
    for (const LedgerEntry& entry : entries) {
        Statement row = database.prepare(
            "SELECT balance_nano_usd FROM accounts WHERE id = ? AND kind = 'prepaid'");
        if (row.bind(entry.account).step()) balance = row.money(0);
        RETURN_IF_ERROR(row.status());
    }
    return balance;
}

Status post_reversal(Database& database,
                     const std::string& ref,
                     const std::string& reason,
                     CreditResult& result,
                     WallTime now) {
    auto entries = read_entries(database, ref);
    RETURN_IF_ERROR(entries);
    for (LedgerEntry& entry : *entries) entry.amount = -entry.amount;
    BalanceDeltas deltas;
    const auto is_new =
        write_transaction(database, result.transaction, reason, *entries, now, deltas);
    RETURN_IF_ERROR(is_new);
    if (*is_new) {
        RETURN_IF_ERROR(apply_deltas(database, deltas));
        RETURN_IF_ERROR(write_audit(database, "operator", "ledger.reverse", ref, reason, now));
    }
    const auto balance = read_prepaid_balance(database, *entries);
    RETURN_IF_ERROR(balance);
    result.balance_nano_usd = *balance;
    return {};
}

}  // namespace

std::string_view to_string(CreditKind kind) {
    return info_of(kind).name;
}

Result<CreditKind> parse_credit_kind(std::string_view text) {
    for (const KindInfo& info : kKinds) {
        if (info.name == text) return info.kind;
    }
    return invalid_argument("expected add, refund or adjust, found '" + excerpt(text) + "'",
                            "kind");
}

Result<CreditResult> add_credit(Store& store, const Credit& credit, WallTime now) {
    RETURN_IF_ERROR(check_credit(credit));
    CreditResult result;
    const std::string key = credit.idempotency_key.empty() ? crypto::new_request_id(now).value()
                                                           : credit.idempotency_key;
    result.transaction = std::string(info_of(credit.kind).prefix) + credit.org.value() + ":" + key;
    RETURN_IF_ERROR(store.write(
        [&](Database& database) { return post_credit(database, credit, result, now); }));
    return result;
}

Result<CreditResult> reverse_transaction(Store& store,
                                         const std::string& ref,
                                         const std::string& reason,
                                         WallTime now) {
    if (ref.starts_with(kReversal))
        return invalid_argument("a reversal stays; book what is right instead", "transaction");
    if (reason.empty()) return invalid_argument("expected a reason", "reason");
    CreditResult result;
    result.transaction = std::string(kReversal) + ref;
    RETURN_IF_ERROR(store.write(
        [&](Database& database) { return post_reversal(database, ref, reason, result, now); }));
    return result;
}

}  // namespace turnpike::controlplane
