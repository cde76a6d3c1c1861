#include "controlplane/run/retention_job.h"

#include <chrono>
#include <string>

namespace turnpike::controlplane {

void RetentionJob::run(WallTime now) {
    // A clock that was set back does not make it wait for the day that it was on.
    const WallTime tomorrow = std::chrono::floor<std::chrono::days>(now) + std::chrono::days(1);
    if (now < next_at_ && next_at_ <= tomorrow) return;
    const auto retained = apply_retention(store_, policy_, now);
    if (!retained) {
        log_.error("retention_failed", {{"reason", retained.error().message}});
        next_at_ = now + kRetentionRetry;
        return;
    }
    tell(*retained);
    next_at_ = retained->months_left.empty() ? tomorrow : now + kRetentionRetry;
}

void RetentionJob::tell(const Retained& retained) {
    for (const std::string& month : retained.deleted_months)
        log_.info("usage_deleted", {{"month", month}});
    for (const std::string& month : retained.months_left)
        log_.warning("usage_not_deleted",
                     {{"month", month}, {"reason", "not posted, or being read"}});
    const auto num_rows = retained.num_audit_rows + retained.num_operations + retained.num_steps;
    if (num_rows == 0) return;
    log_.info("rows_deleted", {{"audit", retained.num_audit_rows},
                               {"operations", retained.num_operations},
                               {"steps", retained.num_steps}});
}

}  // namespace turnpike::controlplane
