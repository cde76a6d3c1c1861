// Price versions in control.db.
#include "controlplane/store/prices.h"

#include <utility>

#include "controlplane/store/audit.h"
#include "controlplane/store/model_names.h"
#include "controlplane/store/publish.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

#define TURNPIKE_PRICE_COLUMNS                                                             \
    "SELECT version, input_nano_usd, cached_input_nano_usd, output_nano_usd, "             \
    "per_minute_nano_usd, name, ifnull(from_at_us, created_at_us), created_at_us, source " \
    "FROM prices "
#define TURNPIKE_PRICE_ORDER "ORDER BY ifnull(from_at_us, created_at_us), version"

constexpr std::string_view kSettings = "settings";
constexpr std::string_view kOperator = "operator";

PriceRow read_row(const Statement& row) {
    PriceRow price;
    price.price = {row.integer(0), row.money(1), row.money(2), row.money(3), row.money(4)};
    price.name = row.text(5);
    price.from = row.time(6);
    price.created_at = row.time(7);
    price.source = row.text(8) == kOperator ? PriceSource::kOperator : PriceSource::kSettings;
    return price;
}

Result<std::vector<PriceRow>> read_rows(Statement& rows) {
    std::vector<PriceRow> prices;
    while (rows.step()) prices.push_back(read_row(rows));
    RETURN_IF_ERROR(rows.status());
    return prices;
}

bool is_same_price(const Price& a, const Price& b) {
    return a.input_nano_usd == b.input_nano_usd &&
           a.cached_input_nano_usd == b.cached_input_nano_usd &&
           a.output_nano_usd == b.output_nano_usd && a.per_minute_nano_usd == b.per_minute_nano_usd;
}

Result<std::optional<Price>> last_settings_price(Database& control, const std::string& name) {
    Statement row = control.prepare(TURNPIKE_PRICE_COLUMNS
                                    "WHERE name = ? AND source = 'settings' ORDER BY version DESC "
                                    "LIMIT 1");
    std::optional<Price> price;
    if (row.bind(name).step()) price = read_row(row).price;
    RETURN_IF_ERROR(row.status());
    return price;
}

Result<std::int64_t> insert_price(Database& control, const PriceRow& row) {
    const bool is_operators = row.source == PriceSource::kOperator;
    RETURN_IF_ERROR(control
                        .prepare("INSERT INTO prices (name, input_nano_usd, cached_input_nano_usd, "
                                 "output_nano_usd, per_minute_nano_usd, created_at_us, from_at_us, "
                                 "source) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
                        .bind(row.name)
                        .bind(row.price.input_nano_usd)
                        .bind(row.price.cached_input_nano_usd)
                        .bind(row.price.output_nano_usd)
                        .bind(row.price.per_minute_nano_usd)
                        .bind(row.created_at)
                        .bind(row.from)
                        .bind(is_operators ? kOperator : kSettings)
                        .run());
    const std::int64_t version = control.last_row_id();
    RETURN_IF_ERROR(write_audit(
        control, std::string(is_operators ? kOperator : kSettings), "price.set", row.name,
        "version " + std::to_string(version) + " from " + format_rfc3339(row.from),
        row.created_at));
    return version;
}

}  // namespace

Status check_price(const Price& price) {
    for (const NanoUsd amount :
         {price.input_nano_usd, price.cached_input_nano_usd, price.output_nano_usd}) {
        if (amount < NanoUsd() || amount > kMaxTokenPrice) {
            return invalid_argument(
                "expected a price from 0 to 1 USD per token, found " + format_usd(amount), "price");
        }
    }
    if (price.per_minute_nano_usd < NanoUsd()) {
        return invalid_argument("expected a price per minute of at least 0", "price");
    }
    return {};
}

Result<NamePrices> read_prices(Database& control, const std::string& name, WallTime now) {
    Statement rows = control.prepare(TURNPIKE_PRICE_COLUMNS "WHERE name = ? " TURNPIKE_PRICE_ORDER);
    rows.bind(name);
    const auto all = read_rows(rows);
    RETURN_IF_ERROR(all);
    NamePrices prices;
    for (const PriceRow& row : *all) {
        if (row.from <= now) {
            prices.current = row.price;
        } else {
            prices.upcoming.push_back({row.from, row.price});
        }
    }
    return prices;
}

Status put_settings_price(Database& control,
                          const std::string& name,
                          const Price& wanted,
                          WallTime now) {
    const auto last = last_settings_price(control, name);
    RETURN_IF_ERROR(last);
    if (*last && is_same_price(**last, wanted)) return {};
    const auto version = insert_price(control, {name, wanted, now, now, PriceSource::kSettings});
    RETURN_IF_ERROR(version);
    return {};
}

Result<std::optional<Price>> read_price_version(Database& control, std::int64_t version) {
    Statement row = control.prepare(TURNPIKE_PRICE_COLUMNS "WHERE version = ?");
    std::optional<Price> price;
    if (row.bind(version).step()) price = read_row(row).price;
    RETURN_IF_ERROR(row.status());
    return price;
}

Result<std::vector<PriceRow>> list_prices(const Store& store,
                                          const std::optional<std::string>& name) {
    Result<std::vector<PriceRow>> prices = std::vector<PriceRow>();
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        Statement rows = control.prepare(TURNPIKE_PRICE_COLUMNS
                                         "WHERE ?1 IS NULL OR name = ?1 ORDER BY name, "
                                         "ifnull(from_at_us, created_at_us), version");
        if (name) {
            rows.bind(*name);
        } else {
            rows.bind_null();
        }
        prices = read_rows(rows);
        RETURN_IF_ERROR(prices);
        return {};
    }));
    return prices;
}

Result<PriceRow> set_price(
    Store& store, const std::string& name, const Price& price, WallTime from, WallTime now) {
    RETURN_IF_ERROR(check_price(price));
    if (from < now) {
        return invalid_argument("expected a moment from " + format_rfc3339(now) + " on, found " +
                                    format_rfc3339(from) + ": what has passed keeps its price",
                                "from");
    }
    PriceRow row{name, price, from, now, PriceSource::kOperator};
    RETURN_IF_ERROR(store.write([&](Database& control) -> Status {
        const auto version = insert_price(control, row);
        RETURN_IF_ERROR(version);
        row.price.version = *version;
        RETURN_IF_ERROR(publish_model_name(control, name, now));
        return {};
    }));
    return row;
}

}  // namespace turnpike::controlplane
