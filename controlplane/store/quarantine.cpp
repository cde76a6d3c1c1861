// Usage records kept aside in control.db.
#include "controlplane/store/quarantine.h"

#include "controlplane/store/audit.h"
#include "controlplane/store/store.h"
#include "controlplane/store/usage_events.h"

namespace turnpike::controlplane {
namespace {

#define TURNPIKE_QUARANTINE_COLUMNS \
    "SELECT record, outbox, reason, received_at_us FROM quarantine WHERE released_at_us IS NULL "

Result<std::vector<QuarantinedRecord>> read_rows(Statement& rows) {
    std::vector<QuarantinedRecord> found;
    while (rows.step()) {
        auto record = parse_usage_record(rows.text(0));
        RETURN_IF_ERROR(record);
        found.push_back({std::move(*record), rows.text(1), rows.text(2), rows.time(3)});
    }
    RETURN_IF_ERROR(rows.status());
    return found;
}

Result<QuarantinedRecord> find(const Store& store, const RequestId& id) {
    Result<std::vector<QuarantinedRecord>> found = std::vector<QuarantinedRecord>();
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        Statement rows = control.prepare(TURNPIKE_QUARANTINE_COLUMNS "AND request_id = ?");
        rows.bind(id.value());
        found = read_rows(rows);
        RETURN_IF_ERROR(found);
        return {};
    }));
    if (found->empty()) {
        return Error{ErrorCode::kNotFound,
                     "no record '" + excerpt(id.value()) + "' is in quarantine", "request_id"};
    }
    return std::move(found->front());
}

Status mark_released(Store& store, const UsageRecord& record, WallTime now) {
    return store.write([&](Database& control) -> Status {
        RETURN_IF_ERROR(
            control.prepare("UPDATE quarantine SET released_at_us = ? WHERE request_id = ?")
                .bind(now)
                .bind(record.request_id.value())
                .run());
        return write_audit(control, "operator", "quarantine.release", record.request_id.value(),
                           "price version " + std::to_string(record.price_version), now);
    });
}

}  // namespace

Status write_quarantine(Database& control,
                        const std::vector<QuarantinedRecord>& records,
                        WallTime now) {
    for (const QuarantinedRecord& record : records) {
        RETURN_IF_ERROR(control
                            .prepare("INSERT INTO quarantine (request_id, org, outbox, reason, "
                                     "record, received_at_us) VALUES (?, ?, ?, ?, ?, ?) ON "
                                     "CONFLICT (request_id) DO NOTHING")
                            .bind(record.record.request_id.value())
                            .bind(record.record.org.value())
                            .bind(record.outbox)
                            .bind(record.reason)
                            .bind(write_usage_record(record.record))
                            .bind(now)
                            .run());
    }
    return {};
}

Result<std::vector<QuarantinedRecord>> read_quarantine(Database& control, std::int64_t limit) {
    Statement rows =
        control.prepare(TURNPIKE_QUARANTINE_COLUMNS "ORDER BY received_at_us, request_id LIMIT ?");
    rows.bind(limit);
    return read_rows(rows);
}

Result<std::vector<QuarantinedRecord>> list_quarantine(const Store& store, std::int64_t limit) {
    Result<std::vector<QuarantinedRecord>> found = std::vector<QuarantinedRecord>();
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        found = read_quarantine(control, limit);
        RETURN_IF_ERROR(found);
        return {};
    }));
    return found;
}

Result<std::int64_t> count_quarantine(const Store& store) {
    std::int64_t number = 0;
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        Statement row =
            control.prepare("SELECT count(*) FROM quarantine WHERE released_at_us IS NULL");
        if (row.step()) number = row.integer(0);
        return row.status();
    }));
    return number;
}

Status release_from_quarantine(Store& store,
                               const RequestId& id,
                               const std::optional<std::int64_t>& price_version,
                               WallTime now) {
    const auto found = find(store, id);
    RETURN_IF_ERROR(found);
    UsageRecord record = found->record;
    if (price_version) record.price_version = *price_version;
    // A crash after this delivers it again, which changes nothing.
    const auto delivered = store.ingest_and_wait({"quarantine", 0, {record}});
    RETURN_IF_ERROR(delivered);
    if (delivered->num_quarantined > 0) {
        return Error{ErrorCode::kConflict, "it still cannot be priced: " + found->reason, {}};
    }
    return mark_released(store, record, now);
}

}  // namespace turnpike::controlplane
