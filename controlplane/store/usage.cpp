// Reading of usage across the months' files.
#include "controlplane/store/usage.h"

#include "controlplane/store/store.h"
#include "controlplane/store/usage_events.h"

namespace turnpike::controlplane {

Result<UsageListing> list_usage(const Store& store,
                                const std::optional<OrgId>& org,
                                std::int64_t limit) {
    UsageListing listing;
    RETURN_IF_ERROR(store.read_months([&](const std::string&, Database& file) -> Result<bool> {
        RETURN_IF_ERROR(add_totals(file, org, listing.totals));
        const std::int64_t room = limit - static_cast<std::int64_t>(listing.rows.size());
        if (room <= 0) return true;
        auto rows = read_latest_events(file, org, room);
        RETURN_IF_ERROR(rows);
        for (UsageRow& row : *rows) listing.rows.push_back(std::move(row));
        return true;
    }));
    return listing;
}

Result<std::vector<Rollup>> list_rollups(const Store& store, const std::optional<OrgId>& org) {
    std::vector<Rollup> rollups;
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        Statement rows = control.prepare(
            "SELECT org, day, model, is_billed, num_requests, prompt_tokens, cached_tokens, "
            "completion_tokens, reasoning_tokens, cost_nano_usd FROM rollups WHERE ?1 = '' OR org "
            "= ?1 ORDER BY org, day, model, is_billed DESC");
        rows.bind(org ? org->value() : std::string());
        while (rows.step()) {
            rollups.push_back({OrgId(rows.text(0)),
                               rows.text(1),
                               rows.text(2),
                               rows.integer(3) != 0,
                               rows.integer(4),
                               {rows.integer(5), rows.integer(6), rows.integer(7), rows.integer(8)},
                               rows.money(9)});
        }
        return rows.status();
    }));
    return rollups;
}

}  // namespace turnpike::controlplane
