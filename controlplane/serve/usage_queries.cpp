// Queries over usage in the shapes of OpenAI and Together. Amounts are written as decimal text, so
// that no double comes near them.
#include "controlplane/serve/usage_queries.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <tuple>

#include "controlplane/serve/billing_routes.h"
#include "controlplane/serve/body.h"
#include "controlplane/store/minutes.h"

namespace turnpike::controlplane {
namespace {

using net::HttpRequest;
using nlohmann::json;

constexpr std::int64_t kUsPerS = 1'000'000;
constexpr std::int64_t kHourS = 3'600;
constexpr std::int64_t kDayS = 86'400;
constexpr std::int64_t kMaxUnixS = 32'503'680'000;  // the year 3000
constexpr std::string_view kPagePrefix = "page_";

const std::vector<WidthLimits> kUsageWidths = {
    {"1d", kDayS, 7, 31}, {"1h", kHourS, 24, 168}, {"1m", 60, 60, 1440}};
const std::vector<WidthLimits> kCostWidths = {{"1d", kDayS, 7, 180}};

Result<std::int64_t> integer_of(const std::string& text,
                                const char* param,
                                std::int64_t low,
                                std::int64_t high) {
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc() && rest == end && value >= low && value <= high) return value;
    return invalid_argument("expected an integer from " + std::to_string(low) + " to " +
                                std::to_string(high) + ", found '" + excerpt(text) + "'",
                            param);
}

Result<std::int64_t> integer_or(const HttpRequest& request,
                                const char* param,
                                std::int64_t fallback,
                                std::int64_t low,
                                std::int64_t high) {
    const std::string text = request.query(param);
    if (text.empty()) return fallback;
    return integer_of(text, param, low, high);
}

// The values of group_by, each one of `known`.
Result<std::set<std::string>> group_by(const HttpRequest& request,
                                       const std::set<std::string>& known) {
    std::set<std::string> groups;
    for (const std::string& value : query_values(request, "group_by")) {
        if (!known.contains(value)) {
            return invalid_argument("'" + excerpt(value) + "' is nothing to group by here",
                                    "group_by");
        }
        groups.insert(value);
    }
    return groups;
}

bool passes(const std::vector<std::string>& wanted, const std::string& value) {
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), value) != wanted.end();
}

// Billed groups of a page that the filters of the query let through. An organisation is its only
// project.
Result<std::vector<UsageGroup>> billed_groups(const Store& store,
                                              const OrgId& org,
                                              const HttpRequest& request,
                                              const BucketQuery& query) {
    const UsageRange range{org, query.start_s * kUsPerS, query.page_end_s() * kUsPerS,
                           query.width_s * kUsPerS};
    auto groups = group_usage(store, range);
    RETURN_IF_ERROR(groups);
    const auto models = query_values(request, "models");
    const auto keys = query_values(request, "api_key_ids");
    const bool is_project = passes(query_values(request, "project_ids"), org.value());
    std::erase_if(*groups, [&](const UsageGroup& group) {
        return !group.is_billed || !is_project || !passes(models, group.model) ||
               !passes(keys, group.key.value());
    });
    return groups;
}

json text_or_null(bool is_wanted, const std::string& text) {
    return is_wanted ? json(text) : json(nullptr);
}

// {"object":"page",…} of all buckets of the page, each with the results that `results_of` has.
template <class ResultsOf>
std::string write_page(const BucketQuery& query, const ResultsOf& results_of) {
    std::string data;
    std::int64_t start = query.start_s;
    for (; start < query.page_end_s(); start += query.width_s) {
        const std::int64_t end = std::min(start + query.width_s, query.end_s);
        data += (data.empty() ? "" : ",") + std::string(R"({"object":"bucket","start_time":)") +
                std::to_string(start) + R"(,"end_time":)" + std::to_string(end) +
                R"(,"results":[)" + results_of(start) + "]}";
    }
    const bool has_more = start < query.end_s;
    return R"({"object":"page","data":[)" + data + R"(],"has_more":)" +
           (has_more ? "true" : "false") + R"(,"next_page":)" +
           (has_more ? "\"" + std::string(kPagePrefix) + std::to_string(start) + "\"" : "null") +
           "}";
}

// Results in the order of their keys, joined.
template <class Key, class Value, class Write>
std::string join(const std::map<Key, Value>& results, const Write& write) {
    std::string text;
    for (const auto& [key, value] : results) text += (text.empty() ? "" : ",") + write(key, value);
    return text;
}

struct Counts {
    std::int64_t num_requests = 0;
    TokenUsage usage;
};

using UsageKey = std::pair<std::string, std::string>;  // model, key

std::string write_usage_result(const std::set<std::string>& grouped,
                               const OrgId& org,
                               const UsageKey& key,
                               const Counts& counts) {
    const TokenUsage& usage = counts.usage;
    return dump({{"object", "organization.usage.completions.result"},
                 {"input_tokens", usage.prompt_tokens},
                 {"output_tokens", usage.completion_tokens},
                 {"input_cached_tokens", usage.cached_tokens},
                 {"input_uncached_tokens", usage.prompt_tokens - usage.cached_tokens},
                 {"input_audio_tokens", 0},
                 {"output_audio_tokens", 0},
                 {"num_model_requests", counts.num_requests},
                 {"project_id", text_or_null(grouped.contains("project_id"), org.value())},
                 {"user_id", nullptr},
                 {"api_key_id", text_or_null(grouped.contains("api_key_id"), key.second)},
                 {"model", text_or_null(grouped.contains("model"), key.first)},
                 {"batch", grouped.contains("batch") ? json(false) : json(nullptr)},
                 {"service_tier", text_or_null(grouped.contains("service_tier"), "default")}});
}

// One price of a group of usage.
struct CostPart {
    std::string_view what;
    TokenCount quantity = 0;
    NanoUsd unit_price;

    NanoUsd cost() const { return multiply(unit_price, quantity); }
};

std::vector<CostPart> parts_of(const UsageGroup& group,
                               const std::map<std::int64_t, Price>& prices) {
    const auto found = prices.find(group.price_version);
    if (found == prices.end()) return {};  // without a price there are no tokens
    const Price& price = found->second;
    const TokenUsage& usage = group.usage;
    std::vector<CostPart> parts = {
        {"Input Tokens", usage.prompt_tokens - usage.cached_tokens, price.input_nano_usd},
        {"Cached Input Tokens", usage.cached_tokens, price.cached_input_nano_usd},
        {"Output Tokens", usage.completion_tokens, price.output_nano_usd}};
    std::erase_if(parts, [](const CostPart& part) { return part.quantity == 0; });
    return parts;
}

struct Cost {
    TokenCount quantity = 0;
    NanoUsd amount;
};

using CostKey = std::pair<std::string, std::string>;  // line item, key

std::string write_cost_result(const std::set<std::string>& grouped,
                              const OrgId& org,
                              const CostKey& key,
                              const Cost& cost) {
    const bool has_items = grouped.contains("line_item");
    return R"({"object":"organization.costs.result","amount":{"value":)" + format_usd(cost.amount) +
           R"(,"currency":"usd"},"line_item":)" + dump(text_or_null(has_items, key.first)) +
           R"(,"project_id":)" + dump(text_or_null(grouped.contains("project_id"), org.value())) +
           R"(,"api_key_id":)" + dump(text_or_null(grouped.contains("api_key_id"), key.second)) +
           R"(,"quantity":)" + (has_items ? std::to_string(cost.quantity) : "null") + "}";
}

std::string moment(std::int64_t unix_s) {
    return format_rfc3339(from_unix_us(unix_s * kUsPerS));
}

struct MonthQuery {
    std::int64_t start_s = 0;
    std::int64_t end_s = 0;  // of the month, or of the last window that is over
    std::int64_t width_s = kDayS;
    std::int64_t limit = 0;
};

Result<MonthQuery> parse_month_query(const HttpRequest& request, WallTime now) {
    const std::string month = request.query("month");
    const auto first = parse_utc(month + "-01", "month");
    RETURN_IF_ERROR(first);
    // 32 days on is the next month, whose first day is then known.
    const std::string next = format_rfc3339(*first + std::chrono::hours(32 * 24)).substr(0, 7);
    const auto end = parse_utc(next + "-01", "month");
    RETURN_IF_ERROR(end);
    const std::string granularity = request.query("granularity");
    if (!granularity.empty() && granularity != "day" && granularity != "hour")
        return invalid_argument("expected day or hour, found '" + excerpt(granularity) + "'",
                                "granularity");
    MonthQuery query;
    query.width_s = granularity == "hour" ? kHourS : kDayS;
    const auto limit = integer_or(request, "limit", 100, 1, 1000);
    RETURN_IF_ERROR(limit);
    query.limit = *limit;
    query.start_s = to_unix_us(*first) / kUsPerS;
    const std::int64_t over_s = to_unix_us(now) / kUsPerS / query.width_s * query.width_s;
    query.end_s = std::max(query.start_s, std::min(to_unix_us(*end) / kUsPerS, over_s));
    if (!request.query("after").empty()) {
        const auto after = integer_or(request, "after", 0, query.start_s, kMaxUnixS);
        RETURN_IF_ERROR(after);
        query.start_s = std::min(*after / query.width_s * query.width_s, query.end_s);
    }
    return query;
}

json line_item(const UsageGroup& group, const CostPart& part) {
    return {{"product_name", "Serverless Inference - " + std::string(part.what)},
            {"quantity", std::to_string(part.quantity)},
            {"unit_price", format_usd(part.unit_price)},
            {"cost", format_usd(part.cost())},
            {"pricing_dimensions", json::object()},
            {"attributes", {{"model", group.model}, {"api_key_id", group.key.value()}}}};
}

json window(std::int64_t start_s, std::int64_t width_s, json items) {
    return {{"date", moment(start_s).substr(0, 10)},
            {"start_time", moment(start_s)},
            {"end_time", moment(start_s + width_s)},
            {"line_items", std::move(items)}};
}

// Decodes as the server does.
std::string decode(const std::string& text) {
    HttpRequest one;
    one.target = "?v=" + text;
    return one.query("v");
}

}  // namespace

std::vector<std::string> query_values(const HttpRequest& request, const std::string& name) {
    std::vector<std::string> values;
    const std::size_t begin = request.target.find('?');
    if (begin == std::string::npos) return values;
    std::string_view rest = std::string_view(request.target).substr(begin + 1);
    while (!rest.empty()) {
        const std::string_view pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos) continue;
        const std::string key = decode(std::string(pair.substr(0, equals)));
        if (key != name && key != name + "[]") continue;
        values.push_back(decode(std::string(pair.substr(equals + 1))));
    }
    return values;
}

std::int64_t BucketQuery::page_end_s() const {
    return std::min(end_s, start_s + limit * width_s);
}

Result<BucketQuery> parse_bucket_query(const HttpRequest& request,
                                       const std::vector<WidthLimits>& widths,
                                       WallTime now) {
    const auto start = integer_of(request.query("start_time"), "start_time", 0, kMaxUnixS);
    RETURN_IF_ERROR(start);
    const std::int64_t now_s = to_unix_us(now) / kUsPerS;
    const auto end = integer_or(request, "end_time", now_s + 1, 0, kMaxUnixS);
    RETURN_IF_ERROR(end);
    const std::string name = request.query("bucket_width");
    const auto width = std::find_if(widths.begin(), widths.end(), [&](const WidthLimits& one) {
        return name.empty() || one.name == name;
    });
    if (width == widths.end())
        return invalid_argument("'" + excerpt(name) + "' is no bucket_width of this query",
                                "bucket_width");
    const auto limit = integer_or(request, "limit", width->default_limit, 1, width->max_limit);
    RETURN_IF_ERROR(limit);
    BucketQuery query{*start / width->width_s * width->width_s, *end, width->width_s, *limit};
    const std::string page = request.query("page");
    if (!page.empty()) {
        const bool is_ours = page.starts_with(kPagePrefix);
        const auto at = integer_of(is_ours ? page.substr(kPagePrefix.size()) : "", "page",
                                   query.start_s, kMaxUnixS);
        RETURN_IF_ERROR(at);
        query.start_s = *at / width->width_s * width->width_s;
    }
    return query;
}

Result<std::string> usage_completions(const Store& store,
                                      const OrgId& org,
                                      const HttpRequest& request,
                                      WallTime now) {
    const auto query = parse_bucket_query(request, kUsageWidths, now);
    RETURN_IF_ERROR(query);
    const auto grouped = group_by(
        request, {"project_id", "user_id", "api_key_id", "model", "batch", "service_tier"});
    RETURN_IF_ERROR(grouped);
    const auto groups = billed_groups(store, org, request, *query);
    RETURN_IF_ERROR(groups);
    std::map<std::int64_t, std::map<UsageKey, Counts>> buckets;
    for (const UsageGroup& group : *groups) {
        Counts& counts = buckets[group.bucket_at_us / kUsPerS]
                                [{grouped->contains("model") ? group.model : "",
                                  grouped->contains("api_key_id") ? group.key.value() : ""}];
        counts.num_requests += group.num_requests;
        counts.usage.prompt_tokens += group.usage.prompt_tokens;
        counts.usage.cached_tokens += group.usage.cached_tokens;
        counts.usage.completion_tokens += group.usage.completion_tokens;
    }
    return write_page(*query, [&](std::int64_t start) {
        return join(buckets[start], [&](const UsageKey& key, const Counts& counts) {
            return write_usage_result(*grouped, org, key, counts);
        });
    });
}

namespace {

// Minutes of dedicated replicas: no key asked for them, and a filter by keys leaves them out.
Status add_minutes(const Store& store,
                   const OrgId& org,
                   const HttpRequest& request,
                   const BucketQuery& query,
                   bool is_by_item,
                   std::map<std::int64_t, std::map<CostKey, Cost>>& buckets) {
    const bool is_project = passes(query_values(request, "project_ids"), org.value());
    if (!is_project || !query_values(request, "api_key_ids").empty()) return {};
    const auto models = query_values(request, "models");
    for (std::int64_t at = query.start_s; at < query.page_end_s(); at += query.width_s) {
        const auto groups = group_minutes(store, org, from_unix_us(at * kUsPerS),
                                          from_unix_us((at + query.width_s) * kUsPerS));
        RETURN_IF_ERROR(groups);
        for (const MinuteGroup& group : *groups) {
            if (!passes(models, group.name)) continue;
            const std::string item = is_by_item ? group.name + ", Replica Minutes" : "";
            Cost& cost = buckets[at][{item, ""}];
            cost.quantity += group.num_minutes;
            cost.amount = cost.amount + group.cost_nano_usd;
        }
    }
    return {};
}

}  // namespace

Result<std::string> costs(const Store& store,
                          const OrgId& org,
                          const HttpRequest& request,
                          WallTime now) {
    const auto query = parse_bucket_query(request, kCostWidths, now);
    RETURN_IF_ERROR(query);
    const auto grouped = group_by(request, {"project_id", "line_item", "api_key_id"});
    RETURN_IF_ERROR(grouped);
    const auto groups = billed_groups(store, org, request, *query);
    RETURN_IF_ERROR(groups);
    const auto prices = read_price_versions(store);
    RETURN_IF_ERROR(prices);
    std::map<std::int64_t, std::map<CostKey, Cost>> buckets;
    for (const UsageGroup& group : *groups) {
        for (const CostPart& part : parts_of(group, *prices)) {
            const std::string item = group.model + ", " + std::string(part.what);
            Cost& cost = buckets[group.bucket_at_us / kUsPerS]
                                [{grouped->contains("line_item") ? item : "",
                                  grouped->contains("api_key_id") ? group.key.value() : ""}];
            cost.quantity += part.quantity;
            cost.amount = cost.amount + part.cost();
        }
    }
    RETURN_IF_ERROR(
        add_minutes(store, org, request, *query, grouped->contains("line_item"), buckets));
    return write_page(*query, [&](std::int64_t start) {
        return join(buckets[start], [&](const CostKey& key, const Cost& cost) {
            return write_cost_result(*grouped, org, key, cost);
        });
    });
}

Result<std::string> billing_usage(const Store& store,
                                  const OrgId& org,
                                  const HttpRequest& request,
                                  WallTime now) {
    const std::string asked = request.query("organization_id");
    if (!asked.empty() && asked != org.value())
        return Error{ErrorCode::kNotFound, "no organisation '" + excerpt(asked) + "'",
                     "organization_id"};
    const auto query = parse_month_query(request, now);
    RETURN_IF_ERROR(query);
    const auto groups = group_usage(
        store, {org, query->start_s * kUsPerS, query->end_s * kUsPerS, query->width_s * kUsPerS});
    RETURN_IF_ERROR(groups);
    const auto prices = read_price_versions(store);
    RETURN_IF_ERROR(prices);
    std::map<std::int64_t, json> windows;
    for (const UsageGroup& group : *groups) {
        if (!group.is_billed) continue;
        json& items = windows[group.bucket_at_us / kUsPerS];
        if (items.is_null()) items = json::array();
        for (const CostPart& part : parts_of(group, *prices))
            items.push_back(line_item(group, part));
    }
    json data = json::array();
    json next = nullptr;
    for (auto& [start_s, items] : windows) {
        if (static_cast<std::int64_t>(data.size()) == query->limit) {
            next = std::to_string(start_s);
            break;
        }
        data.push_back(window(start_s, query->width_s, std::move(items)));
    }
    const bool is_empty = data.empty();
    const json earliest = is_empty ? json(nullptr) : data.front()["start_time"];
    const json latest = is_empty ? json(nullptr) : data.back()["end_time"];
    return dump({{"object", "list"},
                 {"organization_id", org.value()},
                 {"billing_period", request.query("month")},
                 {"currency", "USD"},
                 {"data", std::move(data)},
                 {"earliest_window_start", earliest},
                 {"latest_window_end", latest},
                 {"next_cursor", std::move(next)}});
}

}  // namespace turnpike::controlplane
