// Links of the ledger's hash chain: made when a transaction is written, computed again to verify.
#include "controlplane/store/ledger_chain.h"

#include <algorithm>

#include "config/crypto/digest.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

std::string sized(const std::string& text) {
    return std::to_string(text.size()) + ":" + text + "\n";
}

std::string first_hash(const std::string& founded_as) {
    return crypto::to_hex(crypto::sha256("turnpike ledger\n" + sized(founded_as)));
}

std::string next_hash(const std::string& before, const ChainedTransaction& transaction) {
    return crypto::to_hex(crypto::sha256(before + "\n" + canonical_bytes(transaction)));
}

// Empty when there is no such link.
Result<std::string> read_link(Database& control, std::int64_t id) {
    Statement row = control.prepare("SELECT hash FROM chain WHERE transaction_id = ?");
    std::string hash = row.bind(id).step() ? row.text(0) : "";
    RETURN_IF_ERROR(row.status());
    return hash;
}

Status insert_link(Database& control, std::int64_t id, const std::string& hash) {
    return control.prepare("INSERT INTO chain (transaction_id, hash) VALUES (?, ?)")
        .bind(id)
        .bind(hash)
        .run();
}

Result<std::vector<LedgerEntry>> read_entries(Database& control, std::int64_t transaction) {
    Statement rows = control.prepare(
        "SELECT account_id, amount_nano_usd FROM entries WHERE transaction_id = ? ORDER BY "
        "account_id");
    rows.bind(transaction);
    std::vector<LedgerEntry> entries;
    while (rows.step()) entries.push_back({rows.integer(0), rows.money(1)});
    RETURN_IF_ERROR(rows.status());
    return entries;
}

// Every transaction with its entries, in the order of the chain; stops when `visit` says false.
template <class Visit>
Status for_each_transaction(Database& control, const Visit& visit) {
    Statement rows =
        control.prepare("SELECT id, ref, note, posted_at_us FROM transactions ORDER BY id");
    while (rows.step()) {
        ChainedTransaction transaction{
            rows.integer(0), rows.text(1), rows.text(2), rows.time(3), {}};
        auto entries = read_entries(control, transaction.id);
        RETURN_IF_ERROR(entries);
        transaction.entries = std::move(*entries);
        const Result<bool> goes_on = visit(transaction);
        RETURN_IF_ERROR(goes_on);
        if (!*goes_on) return {};
    }
    return rows.status();
}

Result<std::int64_t> count(Database& control, std::string_view sql) {
    Statement row = control.prepare(sql);
    const std::int64_t number = row.step() ? row.integer(0) : 0;
    RETURN_IF_ERROR(row.status());
    return number;
}

std::string name_of(const ChainedTransaction& transaction) {
    return "transaction " + std::to_string(transaction.id) + " (" + transaction.ref + ")";
}

// True while the chain fits; else report.fault says why it does not.
Result<bool> check_link(Database& control,
                        const ChainedTransaction& transaction,
                        ChainReport& report) {
    if (transaction.id != report.num_links + 1) {
        report.fault = "expected transaction " + std::to_string(report.num_links + 1) +
                       " in the ledger, found " + name_of(transaction);
        return false;
    }
    const auto stored = read_link(control, transaction.id);
    RETURN_IF_ERROR(stored);
    const std::string expected = next_hash(report.head, transaction);
    if (*stored != expected) {
        report.fault = name_of(transaction) + ": expected link " + expected + ", found " +
                       (stored->empty() ? "none" : *stored);
        return false;
    }
    ++report.num_links;
    report.head = expected;
    return true;
}

}  // namespace

std::string canonical_bytes(const ChainedTransaction& transaction) {
    std::string bytes = std::to_string(transaction.id) + "\n" +
                        std::to_string(to_unix_us(transaction.posted_at)) + "\n" +
                        sized(transaction.ref) + sized(transaction.note);
    for (const LedgerEntry& entry : transaction.entries) {
        bytes += std::to_string(entry.account) + " " + std::to_string(entry.amount.value()) + "\n";
    }
    return bytes;
}

Status begin_chain(Database& control, const std::string& founded_as) {
    const auto begun = read_link(control, 0);
    RETURN_IF_ERROR(begun);
    if (!begun->empty()) return {};
    RETURN_IF_ERROR(insert_link(control, 0, first_hash(founded_as)));
    std::int64_t expected = 1;
    return for_each_transaction(
        control, [&](const ChainedTransaction& transaction) -> Result<bool> {
            if (transaction.id != expected++) {
                return Error{
                    ErrorCode::kCorrupt,
                    "the ledger has a gap before " + name_of(transaction) + ": restore a backup",
                    {}};
            }
            RETURN_IF_ERROR(append_link(control, transaction));
            return true;
        });
}

Status append_link(Database& control, const ChainedTransaction& transaction) {
    const auto before = read_link(control, transaction.id - 1);
    RETURN_IF_ERROR(before);
    if (before->empty()) {
        return Error{ErrorCode::kCorrupt,
                     name_of(transaction) + " has no link before it in the ledger's chain",
                     {}};
    }
    ChainedTransaction sorted = transaction;
    std::sort(sorted.entries.begin(), sorted.entries.end(),
              [](const LedgerEntry& a, const LedgerEntry& b) { return a.account < b.account; });
    return insert_link(control, sorted.id, next_hash(*before, sorted));
}

Result<ChainReport> verify_chain(Database& control, const std::string& founded_as) {
    ChainReport report;
    report.head = first_hash(founded_as);
    const auto first = read_link(control, 0);
    RETURN_IF_ERROR(first);
    if (*first != report.head) {
        report.fault = "the chain does not begin with the link of store " + founded_as;
        return report;
    }
    RETURN_IF_ERROR(
        for_each_transaction(control, [&](const ChainedTransaction& transaction) -> Result<bool> {
            return check_link(control, transaction, report);
        }));
    if (report.fault) return report;
    const auto num_links = count(control, "SELECT count(*) FROM chain");
    RETURN_IF_ERROR(num_links);
    const auto num_entries = count(control,
                                   "SELECT count(*) FROM entries WHERE transaction_id NOT IN "
                                   "(SELECT id FROM transactions)");
    RETURN_IF_ERROR(num_entries);
    if (*num_links != report.num_links + 1) {
        report.fault = "transaction " + std::to_string(report.num_links + 1) +
                       " has a link in the chain and is not in the ledger";
    } else if (*num_entries != 0) {
        report.fault = std::to_string(*num_entries) + " entries belong to no transaction";
    }
    return report;
}

Result<ChainReport> verify_chain(const Store& store) {
    Result<ChainReport> report = ChainReport();
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        report = verify_chain(control, store.founded_as());
        RETURN_IF_ERROR(report);
        return {};
    }));
    return report;
}

}  // namespace turnpike::controlplane
