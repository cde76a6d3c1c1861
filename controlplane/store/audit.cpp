// Rows of the audit, their links and their anchors.
#include "controlplane/store/audit.h"

#include "config/crypto/digest.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

constexpr const char* kOperator = "operator";
constexpr const char* kCut = "audit.cut";

#define TURNPIKE_AUDIT_COLUMNS                                                                     \
    "SELECT a.id, a.at_us, a.actor, a.action, a.subject, a.detail, ifnull(c.hash, '') FROM audit " \
    "a "                                                                                           \
    "LEFT JOIN audit_chain c ON c.audit_id = a.id "

AuditRow read_row(const Statement& row) {
    return {row.integer(0), row.time(1), row.text(2), row.text(3),
            row.text(4),    row.text(5), row.text(6)};
}

std::string sized(const std::string& text) {
    return std::to_string(text.size()) + ":" + text + "\n";
}

std::string first_hash(const std::string& founded_as) {
    return crypto::to_hex(crypto::sha256("turnpike audit\n" + sized(founded_as)));
}

std::string next_hash(const std::string& before, const AuditRow& row) {
    return crypto::to_hex(crypto::sha256(before + "\n" + canonical_bytes(row)));
}

// The first column of the first row; empty when there is none.
Result<std::string> read_text(Database& control, std::string_view sql) {
    Statement row = control.prepare(sql);
    std::string text = row.step() ? row.text(0) : "";
    RETURN_IF_ERROR(row.status());
    return text;
}

Result<std::int64_t> read_number(Database& control, std::string_view sql) {
    Statement row = control.prepare(sql);
    const std::int64_t number = row.step() ? row.integer(0) : 0;
    RETURN_IF_ERROR(row.status());
    return number;
}

Result<std::string> read_first_link(Database& control) {
    return read_text(control, "SELECT hash FROM audit_chain WHERE audit_id = 0");
}

Status insert_link(Database& control, std::int64_t id, const std::string& hash) {
    return control.prepare("INSERT INTO audit_chain (audit_id, hash) VALUES (?, ?)")
        .bind(id)
        .bind(hash)
        .run();
}

std::string name_of(const AuditRow& row) {
    return "audit row " + std::to_string(row.id) + " (" + row.action + " of " + row.subject + ")";
}

std::string words_of_cut(std::int64_t num_cut, const std::string& hash) {
    return std::to_string(num_cut) + " rows, the last with hash " + hash;
}

struct Anchor {
    std::int64_t last_id = 0;
    std::string hash;
    std::int64_t num_cut = 0;
};

// Empty before the first cut.
Result<std::optional<Anchor>> read_anchor(Database& control) {
    Statement row = control.prepare(
        "SELECT last_id, hash, num_cut FROM audit_anchors ORDER BY last_id DESC LIMIT 1");
    std::optional<Anchor> anchor;
    if (row.step()) anchor = Anchor{row.integer(0), row.text(1), row.integer(2)};
    RETURN_IF_ERROR(row.status());
    return anchor;
}

Result<bool> is_signed_off(Database& control, const Anchor& anchor) {
    Statement row = control.prepare(
        "SELECT 1 FROM audit WHERE action = ? AND subject = ? AND detail = ? LIMIT 1");
    row.bind(kCut).bind(std::to_string(anchor.last_id));
    const bool exists = row.bind(words_of_cut(anchor.num_cut, anchor.hash)).step();
    RETURN_IF_ERROR(row.status());
    return exists;
}

// Where the chain starts: with link 0, or with the last anchor.
Status begin_report(Database& control, const std::string& founded_as, AuditReport& report) {
    report.head = first_hash(founded_as);
    const auto first = read_first_link(control);
    RETURN_IF_ERROR(first);
    if (*first != report.head) {
        report.fault = "the audit does not begin with the link of store " + founded_as;
        return {};
    }
    const auto anchor = read_anchor(control);
    RETURN_IF_ERROR(anchor);
    if (!*anchor) return {};
    const auto num_cut = read_number(control, "SELECT sum(num_cut) FROM audit_anchors");
    RETURN_IF_ERROR(num_cut);
    report.num_cut = *num_cut;
    report.head = (*anchor)->hash;
    const auto is_told = is_signed_off(control, **anchor);
    RETURN_IF_ERROR(is_told);
    if (!*is_told) {
        report.fault =
            "no row of the audit tells of the cut behind row " + std::to_string((*anchor)->last_id);
    }
    return {};
}

Status check_rows(Database& control, AuditReport& report) {
    Statement rows = control.prepare(TURNPIKE_AUDIT_COLUMNS "ORDER BY a.id");
    while (rows.step()) {
        const AuditRow row = read_row(rows);
        const std::string expected = next_hash(report.head, row);
        if (row.hash != expected) {
            report.fault = name_of(row) + ": expected link " + expected + ", found " +
                           (row.hash.empty() ? "none" : row.hash);
            return {};
        }
        ++report.num_rows;
        report.head = expected;
    }
    return rows.status();
}

struct Cut {
    std::int64_t last_id = 0;  // 0: nothing
    std::int64_t num_rows = 0;
    std::string hash;
};

// In the order of ids, which is that of the chain: a clock that stepped back keeps rows.
Result<Cut> find_cut(Database& control, WallTime until) {
    Statement row = control.prepare(
        "SELECT ifnull(max(id), 0), count(*), sum(action <> ?2) FROM audit WHERE id < "
        "ifnull((SELECT min(id) FROM audit WHERE at_us >= ?1), 9223372036854775807)");
    Cut cut;
    // What only tells of cuts stays: a cut for it would leave another.
    if (row.bind(until).bind(kCut).step() && row.integer(2) > 0)
        cut = {row.integer(0), row.integer(1), {}};
    RETURN_IF_ERROR(row.status());
    Statement link = control.prepare("SELECT hash FROM audit_chain WHERE audit_id = ?");
    if (link.bind(cut.last_id).step()) cut.hash = link.text(0);
    RETURN_IF_ERROR(link.status());
    return cut;
}

Status delete_until(Database& control, std::int64_t last_id) {
    RETURN_IF_ERROR(control.prepare("DELETE FROM audit WHERE id <= ?").bind(last_id).run());
    return control.prepare("DELETE FROM audit_chain WHERE audit_id BETWEEN 1 AND ?")
        .bind(last_id)
        .run();
}

// The row that tells of the cut comes before anything goes: its link continues the chain.
Status apply_cut(Database& control,
                 const Cut& cut,
                 const std::string& signed_off_by,
                 WallTime now) {
    RETURN_IF_ERROR(control
                        .prepare("INSERT INTO audit_anchors (last_id, hash, num_cut, cut_at_us, "
                                 "signed_off_by) VALUES (?, ?, ?, ?, ?)")
                        .bind(cut.last_id)
                        .bind(cut.hash)
                        .bind(cut.num_rows)
                        .bind(now)
                        .bind(signed_off_by)
                        .run());
    RETURN_IF_ERROR(write_audit(control, signed_off_by, kCut, std::to_string(cut.last_id),
                                words_of_cut(cut.num_rows, cut.hash), now));
    return delete_until(control, cut.last_id);
}

}  // namespace

std::string canonical_bytes(const AuditRow& row) {
    return std::to_string(row.id) + "\n" + std::to_string(to_unix_us(row.at)) + "\n" +
           sized(row.actor) + sized(row.action) + sized(row.subject) + sized(row.detail);
}

Status begin_audit_chain(Database& control, const std::string& founded_as) {
    const auto begun = read_first_link(control);
    RETURN_IF_ERROR(begun);
    if (!begun->empty()) return {};
    std::string hash = first_hash(founded_as);
    RETURN_IF_ERROR(insert_link(control, 0, hash));
    Statement rows = control.prepare(TURNPIKE_AUDIT_COLUMNS "ORDER BY a.id");
    while (rows.step()) {
        const AuditRow row = read_row(rows);
        hash = next_hash(hash, row);
        RETURN_IF_ERROR(insert_link(control, row.id, hash));
    }
    return rows.status();
}

Status write_audit(Database& control,
                   const std::string& actor,
                   const std::string& action,
                   const std::string& subject,
                   const std::string& detail,
                   WallTime now) {
    const auto before =
        read_text(control, "SELECT hash FROM audit_chain ORDER BY audit_id DESC LIMIT 1");
    RETURN_IF_ERROR(before);
    if (before->empty()) return Error{ErrorCode::kCorrupt, "the audit's chain has no link 0", {}};
    RETURN_IF_ERROR(control
                        .prepare("INSERT INTO audit (at_us, actor, action, subject, detail) "
                                 "VALUES (?, ?, ?, ?, ?)")
                        .bind(now)
                        .bind(actor)
                        .bind(action)
                        .bind(subject)
                        .bind(detail)
                        .run());
    const AuditRow row{control.last_row_id(), now, actor, action, subject, detail, {}};
    return insert_link(control, row.id, next_hash(*before, row));
}

Status note_action(Store& store,
                   const std::string& action,
                   const std::string& subject,
                   const std::string& detail,
                   WallTime now) {
    return store.write_quietly([&](Database& control) {
        return write_audit(control, kOperator, action, subject, detail, now);
    });
}

Result<std::vector<AuditRow>> list_audit(const Store& store, const AuditFilter& filter) {
    std::vector<AuditRow> found;
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        Statement rows = control.prepare(
            TURNPIKE_AUDIT_COLUMNS
            "WHERE (?1 IS NULL OR a.at_us >= ?1) AND (?2 IS NULL OR a.id < ?2) ORDER BY a.id DESC "
            "LIMIT ?3");
        rows.bind(filter.since).bind(filter.before).bind(filter.limit);
        while (rows.step()) found.push_back(read_row(rows));
        return rows.status();
    }));
    return found;
}

Result<AuditReport> verify_audit(Database& control, const std::string& founded_as) {
    AuditReport report;
    RETURN_IF_ERROR(begin_report(control, founded_as, report));
    if (report.fault) return report;
    RETURN_IF_ERROR(check_rows(control, report));
    if (report.fault) return report;
    const auto num_links = read_number(control, "SELECT count(*) FROM audit_chain");
    RETURN_IF_ERROR(num_links);
    if (*num_links != report.num_rows + 1)
        report.fault = "the audit's chain has links of rows that are not there";
    return report;
}

Result<AuditReport> verify_audit(const Store& store) {
    Result<AuditReport> report = AuditReport();
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        report = verify_audit(control, store.founded_as());
        RETURN_IF_ERROR(report);
        return {};
    }));
    return report;
}

Result<std::int64_t> cut_audit(Store& store,
                               WallTime until,
                               const std::string& signed_off_by,
                               WallTime now) {
    std::int64_t num_cut = 0;
    RETURN_IF_ERROR(store.write_quietly([&](Database& control) -> Status {
        const auto cut = find_cut(control, until);
        RETURN_IF_ERROR(cut);
        num_cut = cut->num_rows;
        if (num_cut == 0) return {};
        return apply_cut(control, *cut, signed_off_by, now);
    }));
    return num_cut;
}

}  // namespace turnpike::controlplane
