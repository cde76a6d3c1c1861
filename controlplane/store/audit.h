// The audit: who changed what and when, as a hash chain. A row's link is SHA-256 of the link before
// and of the row's canonical bytes; link 0 stands for the database. Old rows can be cut behind an
// anchor. No secrets, no prompts. See ops/docs/formats/audit.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "controlplane/store/sqlite.h"

namespace turnpike::controlplane {

class Store;

struct AuditRow {
    std::int64_t id = 0;
    WallTime at;
    std::string actor;   // "operator", "settings", "billing", "retention"
    std::string action;  // "endpoint.create", "key.revoke", ...
    std::string subject;
    std::string detail;
    std::string hash;  // its link; empty: it has none
};

// What is hashed after the hash of the link before. Pure.
std::string canonical_bytes(const AuditRow& row);

// Link 0, and a link for every row that is older than the chain; does nothing once link 0 exists,
// so that a row slipped in later stays without one. In the caller's transaction.
Status begin_audit_chain(Database& control, const std::string& founded_as);

// One row and its link, in the transaction of the change that it tells of.
Status write_audit(Database& control,
                   const std::string& actor,
                   const std::string& action,
                   const std::string& subject,
                   const std::string& detail,
                   WallTime now);

// One row of what an operator did that changes nothing else in control.db.
Status note_action(Store& store,
                   const std::string& action,
                   const std::string& subject,
                   const std::string& detail,
                   WallTime now);

struct AuditFilter {
    std::optional<WallTime> since;
    std::optional<std::int64_t> before;  // the id that is newer than all of them
    std::int64_t limit = 0;
};

// Newest first.
Result<std::vector<AuditRow>> list_audit(const Store& store, const AuditFilter& filter);

struct AuditReport {
    std::int64_t num_rows = 0;  // that fit
    std::int64_t num_cut = 0;   // for which anchors stand
    std::string head;           // the last hash that fits: note it elsewhere, and a cut shows
    // The first that does not fit, in words; empty: the chain is whole.
    std::optional<std::string> fault;
};

// Computes every link again, from the last anchor on. In the caller's view of the database.
Result<AuditReport> verify_audit(Database& control, const std::string& founded_as);
Result<AuditReport> verify_audit(const Store& store);

// Deletes the rows from before `until`, up to the first that is not, and leaves an anchor and a row
// "audit.cut" that tells its hash. The result: how many rows went.
Result<std::int64_t> cut_audit(Store& store,
                               WallTime until,
                               const std::string& signed_off_by,
                               WallTime now);

}  // namespace turnpike::controlplane
