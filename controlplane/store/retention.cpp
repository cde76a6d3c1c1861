#include "controlplane/store/retention.h"

#include <chrono>

#include "controlplane/store/audit.h"
#include "controlplane/store/month.h"
#include "controlplane/store/sqlite.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

constexpr const char* kActor = "retention";

WallTime days_before(WallTime now, int num_days) {
    return now - std::chrono::hours(24) * num_days;
}

Status delete_months(Store& store, int num_kept, WallTime now, Retained& retained) {
    const std::string oldest_kept = month_before(now, num_kept);
    for (const std::string& month : store.months()) {
        if (month >= oldest_kept) continue;
        const auto is_deleted = store.retire_month(month);
        RETURN_IF_ERROR(is_deleted);
        (*is_deleted ? retained.deleted_months : retained.months_left).push_back(month);
    }
    return {};
}

Result<std::int64_t> delete_finished(Database& control, std::string_view sql, WallTime until) {
    RETURN_IF_ERROR(control.prepare(sql).bind(until).run());
    return control.num_changed();
}

Status delete_operations(Store& store, WallTime until, Retained& retained) {
    return store.write_quietly([&](Database& control) -> Status {
        const auto operations =
            delete_finished(control, "DELETE FROM operations WHERE finished_at_us < ?", until);
        RETURN_IF_ERROR(operations);
        retained.num_operations = *operations;
        const auto steps =
            delete_finished(control, "DELETE FROM operation_steps WHERE finished_at_us < ?", until);
        RETURN_IF_ERROR(steps);
        retained.num_steps = *steps;
        return {};
    });
}

}  // namespace

Result<Retained> apply_retention(Store& store, const RetentionPolicy& policy, WallTime now) {
    Retained retained;
    if (policy.usage_months > 0)
        RETURN_IF_ERROR(delete_months(store, policy.usage_months, now, retained));
    if (policy.finished_operations_days > 0)
        RETURN_IF_ERROR(
            delete_operations(store, days_before(now, policy.finished_operations_days), retained));
    if (policy.audit_days > 0) {
        const auto num_cut = cut_audit(store, days_before(now, policy.audit_days), kActor, now);
        RETURN_IF_ERROR(num_cut);
        retained.num_audit_rows = *num_cut;
    }
    return retained;
}

}  // namespace turnpike::controlplane
