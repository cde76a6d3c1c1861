// The hash chain over the ledger: link n is SHA-256 of link n - 1 and of the canonical bytes of
// transaction n with its entries. Link 0 stands for the database. See ops/docs/formats/ledger.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "controlplane/store/ledger_entries.h"
#include "controlplane/store/sqlite.h"

namespace turnpike::controlplane {

class Store;

// One transaction as the chain sees it.
struct ChainedTransaction {
    std::int64_t id = 0;
    std::string ref;
    std::string note;
    WallTime posted_at;
    std::vector<LedgerEntry> entries;  // by account
};

// What is hashed after the hash of the link before. Pure.
std::string canonical_bytes(const ChainedTransaction& transaction);

// Link 0, and a link for every transaction that is older than the chain; does nothing once link 0
// exists, so that a transaction slipped in later stays without one. In the caller's transaction.
Status begin_chain(Database& control, const std::string& founded_as);

// The link of a transaction that was just written. In the caller's transaction.
Status append_link(Database& control, const ChainedTransaction& transaction);

struct ChainReport {
    std::int64_t num_links = 0;  // without link 0
    std::string head;            // the last hash that fits: note it elsewhere, and a cut shows
    // The first that does not fit, in words; empty: the chain is whole.
    std::optional<std::string> fault;
};

// Computes every link again. In the caller's view of the database.
Result<ChainReport> verify_chain(Database& control, const std::string& founded_as);
Result<ChainReport> verify_chain(const Store& store);

}  // namespace turnpike::controlplane
