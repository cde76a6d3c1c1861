#include "controlplane/cli/limit_verbs.h"

#include <array>
#include <charconv>
#include <cstdio>

#include "config/base/money.h"
#include "controlplane/api/limits.h"
#include "controlplane/cli/table.h"

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;

constexpr const char* kRoute = "/admin/v1/limits";

struct LimitName {
    const char* flag;
    const char* field;  // of the API
    std::optional<std::string> ChangedLimits::*typed;
};

constexpr std::array<LimitName, 3> kCounts{{
    {"rpm", "requests_per_minute", &ChangedLimits::rpm},
    {"tpm", "tokens_per_minute", &ChangedLimits::tpm},
    {"concurrent", "concurrent_requests", &ChangedLimits::concurrent},
}};
constexpr LimitName kMonthly{"monthly", "monthly_nano_usd", &ChangedLimits::monthly};

Result<json> count_of(const LimitName& limit, const std::string& text) {
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc() && rest == end && value >= 1 && value <= kMaxPerMinute)
        return json(value);
    return invalid_argument("--" + std::string(limit.flag) +
                            ": expected a whole number from 1 to " + std::to_string(kMaxPerMinute) +
                            ", found '" + excerpt(text) + "'; --clear " + limit.flag +
                            " removes the limit");
}

Result<json> amount_of(const std::string& text) {
    const auto amount = parse_usd(text);
    if (!amount) return invalid_argument("--monthly: " + amount.error().message);
    if (*amount >= NanoUsd()) return json(amount->value());
    return invalid_argument("--monthly: expected an amount of at least 0 USD, found '" +
                            excerpt(text) + "'");
}

// A limit by its flag or by its field.
Result<LimitName> limit_named(const std::string& name) {
    for (const LimitName& limit : kCounts) {
        if (name == limit.flag || name == limit.field) return limit;
    }
    if (name == kMonthly.flag || name == kMonthly.field || name == "monthly_usd") return kMonthly;
    return invalid_argument("--clear: expected rpm, tpm, concurrent or monthly, found '" +
                            excerpt(name) + "'");
}

Status clear(const std::string& name, json& changes) {
    const auto limit = limit_named(name);
    RETURN_IF_ERROR(limit);
    const auto entry = changes.find(limit->field);
    if (entry != changes.end() && !entry->is_null()) {
        const std::string flag = limit->flag;
        return invalid_argument("expected --" + flag + " or --clear " + flag + ", found both");
    }
    changes[limit->field] = nullptr;
    return {};
}

std::string or_dash(const std::string& text) {
    return text.empty() ? "-" : text;
}

// An organisation alone has a fallback, and only when it has no limits of its own.
void print_defaults_note(const json& row) {
    if (!cell(row, "subject").starts_with("organisation:")) return;
    for (const LimitName& limit : kCounts) {
        if (!cell(row, limit.field).empty()) return;
    }
    if (!cell(row, kMonthly.field).empty()) return;
    std::printf("no limits of its own: the gateway's default_* settings hold\n");
}

void print_one(const json& row) {
    std::fputs(limits_table(json::array({row})).c_str(), stdout);
    print_defaults_note(row);
}

std::string target_of(const std::string& subject) {
    return kRoute + ("?subject=" + encode_component(subject));
}

}  // namespace

Result<json> changes_of(const ChangedLimits& changed) {
    json changes = json::object();
    for (const LimitName& limit : kCounts) {
        const auto& typed = changed.*limit.typed;
        if (!typed) continue;
        const auto count = count_of(limit, *typed);
        RETURN_IF_ERROR(count);
        changes[limit.field] = *count;
    }
    if (changed.monthly) {
        const auto amount = amount_of(*changed.monthly);
        RETURN_IF_ERROR(amount);
        changes[kMonthly.field] = *amount;
    }
    for (const std::string& name : changed.cleared) RETURN_IF_ERROR(clear(name, changes));
    if (!changes.empty()) return changes;
    return invalid_argument(
        "expected a limit to set (--rpm, --tpm, --concurrent, --monthly) or to --clear, found "
        "none");
}

std::string limits_table(const json& rows) {
    Table table({"SUBJECT", "NAME", ">REQUESTS/MIN", ">TOKENS/MIN", ">CONCURRENT", ">USD/MONTH"});
    for (const json& row : rows) {
        table.add({cell(row, "subject"), cell(row, "name"),
                   or_dash(cell(row, "requests_per_minute")),
                   or_dash(cell(row, "tokens_per_minute")),
                   or_dash(cell(row, "concurrent_requests")), or_dash(cell(row, "monthly_usd"))});
    }
    return table.to_text();
}

int set_limits(AdminClient& admin, const ChangedLimits& changed, Output output) {
    const auto changes = changes_of(changed);
    if (!changes) return fail_usage(changes.error().message);
    return show(admin.call("PATCH", target_of(changed.subject), *changes), output, print_one);
}

int show_limits(AdminClient& admin, const std::string& subject, Output output) {
    if (!subject.empty()) return show(admin.call("GET", target_of(subject)), output, print_one);
    return show(admin.call("GET", kRoute), output, [](const json& answer) {
        std::fputs(limits_table(answer.value("data", json::array())).c_str(), stdout);
    });
}

}  // namespace turnpike::controlplane::cli
