// Invoices from events.
#include "controlplane/store/invoice.h"

#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "controlplane/store/csv.h"
#include "controlplane/store/minutes.h"
#include "controlplane/store/month.h"
#include "controlplane/store/organisations.h"
#include "controlplane/store/retired.h"
#include "controlplane/store/store.h"
#include "controlplane/store/usage_groups.h"

namespace turnpike::controlplane {
namespace {

constexpr std::int64_t kNanosPerCent = 10'000'000;
constexpr auto kDeliveryTime = std::chrono::hours(24);

Status check_month(const std::string& month) {
    const bool has_shape = month.size() == 7 && month[4] == '-' &&
                           month.find_first_not_of("0123456789-") == std::string::npos &&
                           month.find('-') == month.rfind('-');
    const bool is_month = has_shape && month.substr(5) >= "01" && month.substr(5) <= "12";
    if (is_month) return {};
    return invalid_argument("expected a month such as 2026-11, found '" + excerpt(month) + "'",
                            "month");
}

void add(TokenUsage& sum, const TokenUsage& more) {
    sum.prompt_tokens += more.prompt_tokens;
    sum.cached_tokens += more.cached_tokens;
    sum.completion_tokens += more.completion_tokens;
    sum.reasoning_tokens += more.reasoning_tokens;
}

Result<std::vector<UsageGroup>> read_groups(const Store& store,
                                            const OrgId& org,
                                            const std::string& wanted) {
    constexpr std::int64_t kEver = std::numeric_limits<std::int64_t>::max();
    Result<std::vector<UsageGroup>> groups = std::vector<UsageGroup>();
    RETURN_IF_ERROR(
        store.read_months([&](const std::string& month, Database& file) -> Result<bool> {
            if (month != wanted) return true;
            groups = group_events(file, {org, 0, kEver, kEver});
            RETURN_IF_ERROR(groups);
            return false;
        }));
    return groups;
}

// Lines by model and price version; what was written off goes to the invoice.
using Lines = std::map<std::pair<std::string, std::int64_t>, InvoiceLine>;

Lines collect(const std::vector<UsageGroup>& groups, Invoice& invoice) {
    Lines lines;
    for (const UsageGroup& group : groups) {
        if (!group.is_billed) {
            invoice.num_written_off += group.num_requests;
            add(invoice.written_off, group.usage);
            invoice.written_off_nano_usd = invoice.written_off_nano_usd + group.cost_nano_usd;
            continue;
        }
        InvoiceLine& line = lines[{group.model, group.price_version}];
        line.model = group.model;
        line.num_requests += group.num_requests;
        add(line.usage, group.usage);
        line.total_nano_usd = line.total_nano_usd + group.cost_nano_usd;
    }
    return lines;
}

Status price(InvoiceLine& line, const Price& price) {
    line.price = price;
    const TokenUsage& usage = line.usage;
    line.input_nano_usd = multiply(price.input_nano_usd, usage.prompt_tokens - usage.cached_tokens);
    line.cached_nano_usd = multiply(price.cached_input_nano_usd, usage.cached_tokens);
    line.output_nano_usd = multiply(price.output_nano_usd, usage.completion_tokens);
    const NanoUsd total = line.input_nano_usd + line.cached_nano_usd + line.output_nano_usd;
    if (total == line.total_nano_usd) return {};
    return Error{ErrorCode::kCorrupt,
                 "the events of " + line.model + " under price version " +
                     std::to_string(price.version) + " cost " + format_usd(line.total_nano_usd) +
                     " USD, expected " + format_usd(total) + ": see `turnpike billing reconcile`",
                 {}};
}

Status add_minutes(const Store& store, Invoice& invoice) {
    const auto groups = group_minutes(store, invoice.org, begin_of_month(invoice.month, 0),
                                      begin_of_month(invoice.month, 1));
    RETURN_IF_ERROR(groups);
    for (const MinuteGroup& group : *groups) {
        invoice.minutes.push_back(
            {group.name, group.price_version, group.num_minutes, group.cost_nano_usd});
        invoice.total_nano_usd = invoice.total_nano_usd + group.cost_nano_usd;
    }
    return {};
}

bool is_over(const std::string& month, WallTime now) {
    return format_rfc3339(now - kDeliveryTime).substr(0, 7) > month;
}

}  // namespace

std::int64_t round_to_cents(NanoUsd amount) {
    const std::int64_t cents = amount.value() / kNanosPerCent;
    const std::int64_t rest = amount.value() % kNanosPerCent;
    if (rest >= kNanosPerCent / 2) return cents + 1;
    return rest < -(kNanosPerCent / 2) ? cents - 1 : cents;
}

Result<Invoice> make_invoice(const Store& store,
                             const OrgId& org,
                             const std::string& month,
                             WallTime now) {
    RETURN_IF_ERROR(check_month(month));
    const auto kept = store.keep_months();
    RETURN_IF_ERROR(check_not_retired(store, month));
    const auto organisation = find_organisation(store, org.value());
    RETURN_IF_ERROR(organisation);
    const auto groups = read_groups(store, org, month);
    RETURN_IF_ERROR(groups);
    const auto prices = read_price_versions(store);
    RETURN_IF_ERROR(prices);
    Invoice invoice;
    invoice.org = org;
    invoice.org_name = organisation->name;
    invoice.month = month;
    invoice.is_final = is_over(month, now);
    for (auto& [key, line] : collect(*groups, invoice)) {
        const auto found = prices->find(key.second);
        // A request without tokens may name no price.
        const Price none{key.second, NanoUsd(), NanoUsd(), NanoUsd(), NanoUsd()};
        InvoiceLine priced = line;
        RETURN_IF_ERROR(price(priced, found == prices->end() ? none : found->second));
        invoice.total_nano_usd = invoice.total_nano_usd + priced.total_nano_usd;
        invoice.lines.push_back(std::move(priced));
    }
    RETURN_IF_ERROR(add_minutes(store, invoice));
    invoice.due_cents = round_to_cents(invoice.total_nano_usd);
    return invoice;
}

std::string write_csv(const Invoice& invoice) {
    std::string csv =
        csv_row({"organisation", "month", "model", "price_version", "requests",
                 "uncached_input_tokens", "cached_input_tokens", "output_tokens",
                 "input_usd_per_token", "cached_input_usd_per_token", "output_usd_per_token",
                 "input_usd", "cached_input_usd", "output_usd", "total_usd", "replica_minutes"});
    for (const InvoiceLine& line : invoice.lines) {
        const TokenUsage& usage = line.usage;
        csv += csv_row(
            {invoice.org_name, invoice.month, line.model, std::to_string(line.price.version),
             std::to_string(line.num_requests),
             std::to_string(usage.prompt_tokens - usage.cached_tokens),
             std::to_string(usage.cached_tokens), std::to_string(usage.completion_tokens),
             format_usd(line.price.input_nano_usd), format_usd(line.price.cached_input_nano_usd),
             format_usd(line.price.output_nano_usd), format_usd(line.input_nano_usd),
             format_usd(line.cached_nano_usd), format_usd(line.output_nano_usd),
             format_usd(line.total_nano_usd), ""});
    }
    for (const MinuteLine& line : invoice.minutes) {
        csv += csv_row({invoice.org_name, invoice.month, line.endpoint,
                        std::to_string(line.price_version), "", "", "", "", "", "", "", "", "", "",
                        format_usd(line.total_nano_usd), std::to_string(line.num_minutes)});
    }
    return csv;
}

}  // namespace turnpike::controlplane
