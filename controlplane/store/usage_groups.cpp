// Sums over events.
#include "controlplane/store/usage_groups.h"

#include <tuple>

#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

// A request's id, which decides the file, is a little older than its opening.
constexpr std::int64_t kSlackUs = std::int64_t{86'400} * 1'000'000;

std::string month_at(std::int64_t at_us) {
    return format_rfc3339(from_unix_us(at_us)).substr(0, 7);
}

using Key = std::tuple<std::int64_t, std::string, std::string, std::int64_t, bool>;

Key key_of(const UsageGroup& group) {
    return {group.bucket_at_us, group.model, group.key.value(), group.price_version,
            group.is_billed};
}

void add(UsageGroup& sum, const UsageGroup& more) {
    sum.num_requests += more.num_requests;
    sum.usage.prompt_tokens += more.usage.prompt_tokens;
    sum.usage.cached_tokens += more.usage.cached_tokens;
    sum.usage.completion_tokens += more.usage.completion_tokens;
    sum.usage.reasoning_tokens += more.usage.reasoning_tokens;
    sum.cost_nano_usd = sum.cost_nano_usd + more.cost_nano_usd;
}

}  // namespace

Result<std::vector<UsageGroup>> group_events(Database& month_file, const UsageRange& range) {
    Statement rows = month_file.prepare(
        "SELECT opened_at_us / ?1 * ?1 AS bucket, model, key, price_version, is_billed, count(*), "
        "sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), sum(reasoning_tokens), "
        "sum(cost_nano_usd + written_off_nano_usd) FROM events WHERE org = ?2 AND outcome <> "
        "'refused' AND opened_at_us >= "
        "?3 AND opened_at_us < ?4 GROUP BY bucket, model, key, price_version, is_billed");
    rows.bind(range.width_us).bind(range.org.value()).bind(range.from_at_us).bind(range.to_at_us);
    std::vector<UsageGroup> groups;
    while (rows.step()) {
        groups.push_back({rows.integer(0),
                          rows.text(1),
                          KeyId(rows.text(2)),
                          rows.integer(3),
                          rows.integer(4) != 0,
                          rows.integer(5),
                          {rows.integer(6), rows.integer(7), rows.integer(8), rows.integer(9)},
                          rows.money(10)});
    }
    RETURN_IF_ERROR(rows.status());
    return groups;
}

Result<std::vector<UsageGroup>> group_usage(const Store& store, const UsageRange& range) {
    const std::string first = month_at(range.from_at_us - kSlackUs);
    const std::string last = month_at(range.to_at_us + kSlackUs);
    std::map<Key, UsageGroup> sums;
    RETURN_IF_ERROR(
        store.read_months([&](const std::string& month, Database& file) -> Result<bool> {
            if (month > last) return true;
            if (month < first) return false;
            const auto groups = group_events(file, range);
            RETURN_IF_ERROR(groups);
            for (const UsageGroup& group : *groups) {
                const auto [at, is_new] = sums.emplace(key_of(group), group);
                if (!is_new) add(at->second, group);
            }
            return true;
        }));
    std::vector<UsageGroup> groups;
    for (auto& [key, group] : sums) groups.push_back(std::move(group));
    return groups;
}

Result<std::map<std::int64_t, Price>> read_price_versions(Database& control) {
    std::map<std::int64_t, Price> prices;
    Statement rows = control.prepare(
        "SELECT version, input_nano_usd, cached_input_nano_usd, output_nano_usd, "
        "per_minute_nano_usd FROM prices");
    while (rows.step()) {
        prices[rows.integer(0)] = {rows.integer(0), rows.money(1), rows.money(2), rows.money(3),
                                   rows.money(4)};
    }
    RETURN_IF_ERROR(rows.status());
    return prices;
}

Result<std::map<std::int64_t, Price>> read_price_versions(const Store& store) {
    Result<std::map<std::int64_t, Price>> prices = std::map<std::int64_t, Price>();
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        prices = read_price_versions(control);
        RETURN_IF_ERROR(prices);
        return {};
    }));
    return prices;
}

}  // namespace turnpike::controlplane
