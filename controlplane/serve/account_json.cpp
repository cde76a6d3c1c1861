// Shapes of the admin API.
#include "controlplane/serve/account_json.h"

#include <string>

namespace turnpike::controlplane {

using nlohmann::json;

void put_money(json& object, const std::string& name, NanoUsd amount) {
    object[name + "_usd"] = format_usd(amount);
    object[name + "_nano_usd"] = amount.value();
}

void put_tokens(json& object, const TokenUsage& usage) {
    object["prompt_tokens"] = usage.prompt_tokens;
    object["cached_tokens"] = usage.cached_tokens;
    object["completion_tokens"] = usage.completion_tokens;
    object["reasoning_tokens"] = usage.reasoning_tokens;
}

namespace {

json optional_time(const std::optional<WallTime>& time) {
    return time ? json(format_rfc3339(*time)) : json(nullptr);
}

json written_off(std::int64_t num_requests, const TokenUsage& usage) {
    json object = {{"num_requests", num_requests}};
    put_tokens(object, usage);
    return object;
}

json usage_row(const UsageRow& row) {
    const UsageRecord& record = row.record;
    json object = {{"request_id", record.request_id.value()},
                   {"org", record.org.value()},
                   {"key", record.key.value()},
                   {"model", record.model},
                   {"served_model", record.served_model},
                   {"endpoint", record.endpoint.value()},
                   {"replica", record.replica.value()},
                   {"epoch", record.epoch.value()},
                   {"price_version", record.price_version},
                   {"outcome", to_string(record.outcome)},
                   {"billed", is_billed(record.outcome)},
                   {"http_status", record.http_status},
                   {"provider_reported", record.is_provider_reported},
                   {"opened_at", format_rfc3339(record.opened_at)},
                   {"closed_at", format_rfc3339(record.closed_at)}};
    put_tokens(object, record.usage);
    put_money(object, "cost", row.cost_nano_usd);
    put_money(object, "written_off", row.written_off_nano_usd);
    return object;
}

json billing_row(const BillingRow& row) {
    json object = {{"org", row.org.value()},
                   {"name", row.name},
                   {"num_requests", row.num_requests},
                   {"written_off", written_off(row.num_written_off, row.written_off)}};
    put_tokens(object, row.billed);
    put_money(object, "credited", row.credited_nano_usd);
    put_money(object, "charged", row.charged_nano_usd);
    put_money(object, "minutes", row.minutes_nano_usd);
    put_money(object, "balance", row.balance_nano_usd);
    return object;
}

}  // namespace

json to_json(const Organisation& organisation) {
    json object = {{"id", organisation.id.value()},
                   {"name", organisation.name},
                   {"created_at", format_rfc3339(organisation.created_at)}};
    put_money(object, "balance", organisation.balance_nano_usd);
    return object;
}

json to_json(const ApiKey& key) {
    return {{"id", key.id.value()},
            {"org", key.org.value()},
            {"name", key.name},
            {"redacted", key.redacted},
            {"created_at", format_rfc3339(key.created_at)},
            {"revoked_at", optional_time(key.revoked_at)}};
}

json to_json(const UsageListing& listing) {
    json rows = json::array();
    for (const UsageRow& row : listing.rows) rows.push_back(usage_row(row));
    const UsageTotals& sums = listing.totals;
    json totals = {{"num_requests", sums.num_requests},
                   {"written_off", written_off(sums.num_written_off, sums.written_off)}};
    put_tokens(totals, sums.billed);
    put_money(totals, "cost", sums.cost_nano_usd);
    put_money(totals["written_off"], "cost", sums.written_off_nano_usd);
    return {{"data", std::move(rows)}, {"totals", std::move(totals)}};
}

json to_json(const BillingStatement& statement) {
    json rows = json::array();
    for (const BillingRow& row : statement.rows) rows.push_back(billing_row(row));
    json object = {{"data", std::move(rows)},
                   {"unposted_events", statement.num_unposted},
                   {"agrees", statement.agrees}};
    put_money(object, "usage_cost", statement.usage_cost_nano_usd);
    put_money(object, "ledger_sum", statement.ledger_sum_nano_usd);
    return object;
}

json to_json(const CreditResult& result) {
    json object = {{"transaction", result.transaction}};
    put_money(object, "balance", result.balance_nano_usd);
    return object;
}

json to_json(const ChainReport& report) {
    return {{"links", report.num_links},
            {"head", report.head},
            {"whole", !report.fault.has_value()},
            {"fault", report.fault ? json(*report.fault) : json(nullptr)}};
}

}  // namespace turnpike::controlplane
