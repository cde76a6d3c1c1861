// Routes of the admin socket for bills.
#include "controlplane/serve/billing_routes.h"

#include <charconv>
#include <optional>
#include <utility>

#include "controlplane/serve/account_json.h"
#include "controlplane/serve/account_routes.h"
#include "controlplane/serve/body.h"
#include "controlplane/store/invoice.h"
#include "controlplane/store/prices.h"
#include "controlplane/store/quarantine.h"

namespace turnpike::controlplane {
namespace {

using net::HttpRequest;
using nlohmann::json;

constexpr std::int64_t kTokensPerMtok = 1'000'000;
constexpr std::int64_t kRowsPerExport = 5000;
constexpr std::int64_t kMaxQuarantineRows = 1000;

net::HttpResponse answer(const Result<json>& result) {
    return result ? json_response(200, dump(*result)) : error_response(result.error());
}

json to_json(const PriceRow& row) {
    json object = {{"name", row.name},
                   {"version", row.price.version},
                   {"from", format_rfc3339(row.from)},
                   {"created_at", format_rfc3339(row.created_at)},
                   {"source", row.source == PriceSource::kOperator ? "operator" : "settings"}};
    const auto put = [&object](const std::string& name, NanoUsd per_token) {
        object[name + "_nano_usd"] = per_token.value();
        object[name + "_usd_per_mtok"] = format_usd(multiply(per_token, kTokensPerMtok));
    };
    put("input", row.price.input_nano_usd);
    put("cached_input", row.price.cached_input_nano_usd);
    put("output", row.price.output_nano_usd);
    put_money(object, "per_minute", row.price.per_minute_nano_usd);
    return object;
}

Result<json> list_prices_route(const Store& store, const HttpRequest& request) {
    const std::string name = request.query("name");
    const auto prices = list_prices(store, name.empty() ? std::nullopt : std::optional(name));
    RETURN_IF_ERROR(prices);
    json data = json::array();
    for (const PriceRow& row : *prices) data.push_back(to_json(row));
    return json{{"data", std::move(data)}};
}

Result<Price> read_price(Body& body) {
    const std::string input = body.text("input_usd_per_mtok");
    const std::string cached = body.text("cached_input_usd_per_mtok", input);
    const std::string output = body.text("output_usd_per_mtok");
    const std::string minute = body.text("per_minute_usd", "0");
    RETURN_IF_ERROR(body.finish());
    Price price;
    const auto read = [](const std::string& text, const char* param, NanoUsd& amount) -> Status {
        const auto parsed = parse_per_token_price(text, param);
        RETURN_IF_ERROR(parsed);
        amount = *parsed;
        return {};
    };
    RETURN_IF_ERROR(read(input, "input_usd_per_mtok", price.input_nano_usd));
    RETURN_IF_ERROR(read(cached, "cached_input_usd_per_mtok", price.cached_input_nano_usd));
    RETURN_IF_ERROR(read(output, "output_usd_per_mtok", price.output_nano_usd));
    const auto per_minute = parse_usd(minute);
    if (!per_minute) return invalid_argument(per_minute.error().message, "per_minute_usd");
    price.per_minute_nano_usd = *per_minute;
    return price;
}

Result<json> set_price_route(Store& store, const std::string& text, WallTime now) {
    auto body = Body::parse(text);
    RETURN_IF_ERROR(body);
    const std::string name = body->text("name");
    const std::string from_text = body->text("from", "");
    const auto price = read_price(*body);
    RETURN_IF_ERROR(price);
    const auto from = from_text.empty() ? Result<WallTime>(now) : parse_utc(from_text, "from");
    RETURN_IF_ERROR(from);
    const auto row = set_price(store, name, *price, *from, now);
    RETURN_IF_ERROR(row);
    return to_json(*row);
}

json to_json(const InvoiceLine& line) {
    json object = {{"model", line.model},
                   {"price_version", line.price.version},
                   {"num_requests", line.num_requests},
                   {"input_price_nano_usd", line.price.input_nano_usd.value()},
                   {"cached_input_price_nano_usd", line.price.cached_input_nano_usd.value()},
                   {"output_price_nano_usd", line.price.output_nano_usd.value()}};
    put_tokens(object, line.usage);
    put_money(object, "input", line.input_nano_usd);
    put_money(object, "cached_input", line.cached_nano_usd);
    put_money(object, "output", line.output_nano_usd);
    put_money(object, "total", line.total_nano_usd);
    return object;
}

json to_json(const MinuteLine& line) {
    json object = {{"endpoint", line.endpoint},
                   {"price_version", line.price_version},
                   {"replica_minutes", line.num_minutes}};
    put_money(object, "total", line.total_nano_usd);
    return object;
}

json to_json(const Invoice& invoice) {
    json minutes = json::array();
    for (const MinuteLine& line : invoice.minutes) minutes.push_back(to_json(line));
    json lines = json::array();
    for (const InvoiceLine& line : invoice.lines) lines.push_back(to_json(line));
    json lost = {{"num_requests", invoice.num_written_off}};
    put_tokens(lost, invoice.written_off);
    put_money(lost, "total", invoice.written_off_nano_usd);
    json object = {{"org", invoice.org.value()},     {"name", invoice.org_name},
                   {"month", invoice.month},         {"final", invoice.is_final},
                   {"lines", std::move(lines)},      {"minutes", std::move(minutes)},
                   {"written_off", std::move(lost)}, {"due_cents", invoice.due_cents},
                   {"csv", write_csv(invoice)}};
    put_money(object, "total", invoice.total_nano_usd);
    return object;
}

// What exports and invoices need: an organisation and a month.
Result<OrgId> required_org(const Store& store, const HttpRequest& request) {
    const auto org = org_of_query(store, request);
    RETURN_IF_ERROR(org);
    if (!*org) return invalid_argument("org is required: whose usage it is", "org");
    return **org;
}

Result<json> invoice_route(const Store& store, const HttpRequest& request, WallTime now) {
    const auto org = required_org(store, request);
    RETURN_IF_ERROR(org);
    const auto invoice = make_invoice(store, *org, request.query("month"), now);
    RETURN_IF_ERROR(invoice);
    return to_json(*invoice);
}

Result<json> export_route(const Store& store, const HttpRequest& request) {
    const auto org = required_org(store, request);
    RETURN_IF_ERROR(org);
    const auto after = integer_of_query(request, "after");
    RETURN_IF_ERROR(after);
    const auto page = page_usage(store, *org, request.query("month"), *after, kRowsPerExport);
    RETURN_IF_ERROR(page);
    return json{{"header", usage_csv_header()},
                {"csv", write_csv(page->rows)},
                {"next_after", page->next_after ? json(*page->next_after) : json(nullptr)}};
}

Result<json> rollups_route(const Store& store, const HttpRequest& request) {
    const auto org = org_of_query(store, request);
    RETURN_IF_ERROR(org);
    const auto rollups = list_rollups(store, *org);
    RETURN_IF_ERROR(rollups);
    json data = json::array();
    for (const Rollup& row : *rollups) {
        json object = {{"org", row.org.value()},
                       {"day", row.day},
                       {"model", row.model},
                       {"billed", row.is_billed},
                       {"num_requests", row.num_requests}};
        put_tokens(object, row.usage);
        put_money(object, "cost", row.cost_nano_usd);
        data.push_back(std::move(object));
    }
    return json{{"data", std::move(data)}};
}

Result<json> quarantine_route(const Store& store) {
    const auto count = count_quarantine(store);
    RETURN_IF_ERROR(count);
    const auto aside = list_quarantine(store, kMaxQuarantineRows);
    RETURN_IF_ERROR(aside);
    json data = json::array();
    for (const QuarantinedRecord& one : *aside) {
        json object = {{"request_id", one.record.request_id.value()},
                       {"org", one.record.org.value()},
                       {"model", one.record.model},
                       {"price_version", one.record.price_version},
                       {"reason", one.reason},
                       {"received_at", format_rfc3339(one.received_at)}};
        put_tokens(object, one.record.usage);
        data.push_back(std::move(object));
    }
    return json{{"data", std::move(data)}, {"count", *count}};
}

Result<json> release_route(Store& store,
                           const std::string& id,
                           const std::string& text,
                           WallTime now) {
    std::optional<std::int64_t> version;
    if (!text.empty()) {
        auto body = Body::parse(text);
        RETURN_IF_ERROR(body);
        if (body->has("price_version")) version = body->count("price_version");
        RETURN_IF_ERROR(body->finish());
    }
    RETURN_IF_ERROR(release_from_quarantine(store, RequestId(id), version, now));
    return json{{"request_id", id}, {"released", true}};
}

// The number of `text` from `first` on; -1 when it is none.
int digits(const std::string& text, std::size_t first, std::size_t size) {
    int value = -1;
    const char* begin = text.data() + first;
    const auto [rest, error] = std::from_chars(begin, begin + size, value);
    return error == std::errc() && rest == begin + size ? value : -1;
}

}  // namespace

Result<NanoUsd> parse_per_token_price(const std::string& usd_per_mtok, const char* param) {
    const auto amount = parse_usd(usd_per_mtok);
    if (!amount) return invalid_argument(amount.error().message, param);
    if (amount->value() % kTokensPerMtok != 0) {
        return invalid_argument(
            "expected a price of whole nano-dollars per token (a multiple of 0.001 USD per million "
            "tokens), found " +
                usd_per_mtok,
            param);
    }
    return NanoUsd(amount->value() / kTokensPerMtok);
}

Result<WallTime> parse_utc(const std::string& text, const char* param) {
    using namespace std::chrono;
    const Error bad =
        invalid_argument("expected a moment such as 2026-12-01 or 2026-12-01T06:30:00Z, found '" +
                             excerpt(text) + "'",
                         param);
    const bool is_date = text.size() == 10;
    const bool is_moment = text.size() == 20 && text[10] == 'T' && text[13] == ':' &&
                           text[16] == ':' && text[19] == 'Z';
    if ((!is_date && !is_moment) || text[4] != '-' || text[7] != '-') return bad;
    const year_month_day date{year(digits(text, 0, 4)),
                              month(static_cast<unsigned>(digits(text, 5, 2))),
                              day(static_cast<unsigned>(digits(text, 8, 2)))};
    const int hour = is_date ? 0 : digits(text, 11, 2);
    const int minute = is_date ? 0 : digits(text, 14, 2);
    const int second = is_date ? 0 : digits(text, 17, 2);
    const bool is_time =
        hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second < 60;
    if (!date.ok() || date.year() < year(1970) || !is_time) return bad;
    return WallTime(sys_days(date)) + hours(hour) + minutes(minute) + seconds(second);
}

Result<std::int64_t> integer_of_query(const HttpRequest& request, const char* name) {
    const std::string text = request.query(name);
    std::int64_t value = 0;
    if (text.empty()) return value;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || rest != end || value < 0) {
        return invalid_argument("expected an integer of at least 0, found '" + excerpt(text) + "'",
                                name);
    }
    return value;
}

void add_billing_routes(Router& router, Store& store, const Clock& clock) {
    router.add("GET", "/admin/v1/prices", [&](const HttpRequest& request, const PathArguments&) {
        return answer(list_prices_route(store, request));
    });
    router.add("POST", "/admin/v1/prices", [&](const HttpRequest& request, const PathArguments&) {
        return answer(set_price_route(store, request.body, clock.wall_now()));
    });
    router.add("GET", "/admin/v1/invoice", [&](const HttpRequest& request, const PathArguments&) {
        return answer(invoice_route(store, request, clock.wall_now()));
    });
    router.add("GET", "/admin/v1/usage/export",
               [&](const HttpRequest& request, const PathArguments&) {
                   return answer(export_route(store, request));
               });
    router.add("GET", "/admin/v1/rollups", [&](const HttpRequest& request, const PathArguments&) {
        return answer(rollups_route(store, request));
    });
    router.add("GET", "/admin/v1/quarantine", [&](const HttpRequest&, const PathArguments&) {
        return answer(quarantine_route(store));
    });
    router.add(
        "POST", "/admin/v1/quarantine/{}/release",
        [&](const HttpRequest& request, const PathArguments& arguments) {
            return answer(release_route(store, arguments[0], request.body, clock.wall_now()));
        });
}

}  // namespace turnpike::controlplane
