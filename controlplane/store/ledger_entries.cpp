// Ledger transactions: zero-sum, unique by ref.
#include "controlplane/store/ledger_entries.h"

#include "controlplane/store/ledger_chain.h"

namespace turnpike::controlplane {
namespace {

Result<std::int64_t> first_integer(Statement& row, const std::string& missing) {
    const bool exists = row.step();
    RETURN_IF_ERROR(row.status());
    if (!exists) return Error{ErrorCode::kNotFound, missing, {}};
    return row.integer(0);
}

Status insert_entry(Database& database, std::int64_t transaction, const LedgerEntry& entry) {
    return database
        .prepare(
            "INSERT INTO entries (transaction_id, account_id, amount_nano_usd) VALUES (?, ?, "
            "?)")
        .bind(transaction)
        .bind(entry.account)
        .bind(entry.amount)
        .run();
}

}  // namespace

Result<bool> write_transaction(Database& database,
                               const std::string& ref,
                               const std::string& note,
                               const std::vector<LedgerEntry>& entries,
                               WallTime now,
                               BalanceDeltas& deltas) {
    NanoUsd sum;
    for (const LedgerEntry& entry : entries) sum = sum + entry.amount;
    CHECK(sum == NanoUsd());
    RETURN_IF_ERROR(database
                        .prepare("INSERT INTO transactions (ref, note, posted_at_us) VALUES (?, ?, "
                                 "?) ON CONFLICT (ref) DO NOTHING")
                        .bind(ref)
                        .bind(note)
                        .bind(now)
                        .run());
    if (database.num_changed() == 0) return false;
    const ChainedTransaction transaction{database.last_row_id(), ref, note, now, entries};
    for (const LedgerEntry& entry : entries) {
        RETURN_IF_ERROR(insert_entry(database, transaction.id, entry));
        NanoUsd& delta = deltas[entry.account];
        delta = delta + entry.amount;
    }
    RETURN_IF_ERROR(append_link(database, transaction));
    return true;
}

Status apply_deltas(Database& database, const BalanceDeltas& deltas) {
    for (const auto& [account, delta] : deltas) {
        RETURN_IF_ERROR(database
                            .prepare("UPDATE accounts SET balance_nano_usd = balance_nano_usd + ? "
                                     "WHERE id = ?")
                            .bind(delta)
                            .bind(account)
                            .run());
    }
    return {};
}

Result<std::int64_t> prepaid_account(Database& database, const OrgId& org) {
    Statement row =
        database.prepare("SELECT id FROM accounts WHERE kind = 'prepaid' AND ifnull(org, '') = ?");
    row.bind(org.value());
    return first_integer(row, "no prepaid account of organisation " + org.value());
}

Result<std::int64_t> platform_account(Database& database, std::string_view kind) {
    Statement row =
        database.prepare("SELECT id FROM accounts WHERE kind = ? AND ifnull(org, '') = ''");
    row.bind(kind);
    return first_integer(row, "no account of kind " + std::string(kind));
}

Result<NanoUsd> read_balance(Database& database, std::int64_t account) {
    Statement row = database.prepare("SELECT balance_nano_usd FROM accounts WHERE id = ?");
    row.bind(account);
    const auto balance = first_integer(row, "no account " + std::to_string(account));
    RETURN_IF_ERROR(balance);
    return NanoUsd(*balance);
}

}  // namespace turnpike::controlplane
