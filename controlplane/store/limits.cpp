#include "controlplane/store/limits.h"

#include <array>
#include <utility>

#include "controlplane/store/audit.h"
#include "controlplane/store/publish.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

constexpr std::string_view kModel = "model:";

struct SubjectKind {
    std::string_view prefix;
    const char* expected;
    const char* query;  // from what stands behind the prefix to id and name
};

// The limits of a model name outlive it, and must be seen and taken away all the same.
constexpr std::array<SubjectKind, 3> kKinds{{
    {"organisation:", "the id or name of an organisation, as `turnpike org list` shows them",
     "SELECT id, name FROM organisations WHERE id = ?1 OR name = ?1"},
    {"key:", "the id of a key, as `turnpike key list` shows them",
     "SELECT id, name FROM api_keys WHERE id = ?1"},
    {kModel, "a model name, as `turnpike models` shows them",
     "SELECT id, id FROM published WHERE kind = 'models' AND body IS NOT NULL AND id = ?1 UNION "
     "SELECT ?1, ?1 FROM limits WHERE subject = 'model:' || ?1"},
}};

Result<SubjectKind> kind_of(const std::string& subject) {
    for (const SubjectKind& kind : kKinds) {
        if (subject.starts_with(kind.prefix)) return kind;
    }
    return invalid_argument(
        "expected a subject 'organisation:<id or name>', 'key:<id>' or 'model:<name>', found '" +
            excerpt(subject) + "'",
        "subject");
}

Result<NamedLimits> find_subject(Database& database, const std::string& subject) {
    const auto kind = kind_of(subject);
    RETURN_IF_ERROR(kind);
    const std::string wanted = subject.substr(kind->prefix.size());
    Statement row = database.prepare(kind->query);
    NamedLimits found;
    if (row.bind(wanted).step()) {
        found.row.subject = std::string(kind->prefix) + row.text(0);
        found.name = row.text(1);
        return found;
    }
    RETURN_IF_ERROR(row.status());
    return Error{ErrorCode::kNotFound,
                 "expected " + std::string(kind->expected) + ", found '" + excerpt(wanted) + "'",
                 "subject"};
}

Limits limits_at(const Statement& row, int column) {
    Limits limits;
    if (!row.is_null(column)) limits.requests_per_minute = row.integer(column);
    if (!row.is_null(column + 1)) limits.tokens_per_minute = row.integer(column + 1);
    if (!row.is_null(column + 2)) limits.concurrent_requests = row.integer(column + 2);
    if (!row.is_null(column + 3)) limits.monthly_spend = row.money(column + 3);
    return limits;
}

Result<NamedLimits> read_limits(Database& database, const std::string& subject) {
    auto found = find_subject(database, subject);
    RETURN_IF_ERROR(found);
    Statement row = database.prepare(
        "SELECT requests_per_minute, tokens_per_minute, concurrent_requests, monthly_nano_usd FROM "
        "limits WHERE subject = ?");
    if (row.bind(found->row.subject).step()) found->row.limits = limits_at(row, 0);
    RETURN_IF_ERROR(row.status());
    return found;
}

Status write_limits_row(Database& database, const LimitsRow& row) {
    return database
        .prepare(
            "INSERT OR REPLACE INTO limits (subject, requests_per_minute, tokens_per_minute, "
            "concurrent_requests, monthly_nano_usd) VALUES (?, ?, ?, ?, ?)")
        .bind(row.subject)
        .bind(row.limits.requests_per_minute)
        .bind(row.limits.tokens_per_minute)
        .bind(row.limits.concurrent_requests)
        .bind(row.limits.monthly_spend)
        .run();
}

Status delete_limits_row(Database& database, const std::string& subject) {
    return database.prepare("DELETE FROM limits WHERE subject = ?").bind(subject).run();
}

Status check_kind(const LimitsRow& row) {
    if (!row.limits.monthly_spend || !row.subject.starts_with(kModel)) return {};
    return invalid_argument(
        "expected a monthly amount of an organisation or a key, found one of '" +
            excerpt(row.subject) + "', which has no credit of its own",
        "monthly_nano_usd");
}

Status store_limits(Database& database, const LimitsRow& row, WallTime now) {
    RETURN_IF_ERROR(check_kind(row));
    RETURN_IF_ERROR(write_audit(database, "operator", "limits.set", row.subject,
                                write_limits(row.limits), now));
    if (row.limits == Limits()) {
        RETURN_IF_ERROR(delete_limits_row(database, row.subject));
        return publish(database, kLimitsKind, row.subject, std::nullopt);
    }
    RETURN_IF_ERROR(write_limits_row(database, row));
    return publish(database, kLimitsKind, row.subject, write_row(row));
}

}  // namespace

Result<NamedLimits> find_limits(const Store& store, const std::string& subject) {
    std::optional<NamedLimits> named;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        auto found = read_limits(database, subject);
        RETURN_IF_ERROR(found);
        named = std::move(*found);
        return {};
    }));
    return *named;
}

Result<NamedLimits> change_limits(Store& store,
                                  const std::string& subject,
                                  const ChangeOfLimits& change,
                                  WallTime now) {
    std::optional<NamedLimits> named;
    RETURN_IF_ERROR(store.write([&](Database& database) -> Status {
        auto found = read_limits(database, subject);
        RETURN_IF_ERROR(found);
        const auto wanted = change(found->row.limits);
        RETURN_IF_ERROR(wanted);
        found->row.limits = *wanted;
        RETURN_IF_ERROR(store_limits(database, found->row, now));
        named = std::move(*found);
        return {};
    }));
    return *named;
}

Status set_limits(Store& store, const LimitsRow& row, WallTime now) {
    const auto replace = [&](const Limits&) -> Result<Limits> { return row.limits; };
    RETURN_IF_ERROR(change_limits(store, row.subject, replace, now));
    return {};
}

Result<std::vector<NamedLimits>> list_limits(const Store& store) {
    std::vector<NamedLimits> found;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        Statement rows = database.prepare(
            "SELECT l.subject, coalesce(o.name, k.name, substr(l.subject, 7)) AS name, "
            "l.requests_per_minute, l.tokens_per_minute, l.concurrent_requests, l.monthly_nano_usd "
            "FROM limits l LEFT JOIN organisations o ON l.subject = 'organisation:' || o.id LEFT "
            "JOIN api_keys k ON l.subject = 'key:' || k.id "
            "ORDER BY substr(l.subject, 1, instr(l.subject, ':')) DESC, name, l.subject");
        while (rows.step()) found.push_back({{rows.text(0), limits_at(rows, 2)}, rows.text(1)});
        return rows.status();
    }));
    return found;
}

}  // namespace turnpike::controlplane
