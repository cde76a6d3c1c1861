// Model names and price versions in control.db.
#include "controlplane/store/models.h"

#include <utility>

#include "controlplane/store/model_names.h"
#include "controlplane/store/publish.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

// A dollar per token: with the codec's 10^9 tokens a request, costs stay far within 64 bits.
constexpr NanoUsd kMaxPerToken(1'000'000'000);

#define TURNPIKE_PRICE_COLUMNS \
    "version, input_nano_usd, cached_input_nano_usd, output_nano_usd, per_minute_nano_usd "

Price read_price(const Statement& row, int first) {
    return {row.integer(first), row.money(first + 1), row.money(first + 2), row.money(first + 3),
            row.money(first + 4)};
}

bool is_same_price(const Price& a, const Price& b) {
    return a.input_nano_usd == b.input_nano_usd &&
           a.cached_input_nano_usd == b.cached_input_nano_usd &&
           a.output_nano_usd == b.output_nano_usd && a.per_minute_nano_usd == b.per_minute_nano_usd;
}

Status check_price(const Price& price) {
    for (const NanoUsd amount :
         {price.input_nano_usd, price.cached_input_nano_usd, price.output_nano_usd}) {
        if (amount < NanoUsd() || amount > kMaxPerToken) {
            return invalid_argument(
                "expected a price from 0 to 1 USD per token, found " + format_usd(amount), "price");
        }
    }
    if (price.per_minute_nano_usd < NanoUsd()) {
        return invalid_argument("expected a price per minute of at least 0", "price");
    }
    return {};
}

Result<std::optional<Price>> last_price(Database& database, const std::string& name) {
    Statement row = database.prepare("SELECT " TURNPIKE_PRICE_COLUMNS
                                     "FROM prices WHERE name = ? ORDER BY version DESC LIMIT 1");
    std::optional<Price> price;
    if (row.bind(name).step()) price = read_price(row, 0);
    RETURN_IF_ERROR(row.status());
    return price;
}

Status insert_price(Database& database, const std::string& name, const Price& price, WallTime now) {
    return database
        .prepare(
            "INSERT INTO prices (name, input_nano_usd, cached_input_nano_usd, "
            "output_nano_usd, per_minute_nano_usd, created_at_us) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(name)
        .bind(price.input_nano_usd)
        .bind(price.cached_input_nano_usd)
        .bind(price.output_nano_usd)
        .bind(price.per_minute_nano_usd)
        .bind(now)
        .run();
}

Result<Price> set_price(Database& database,
                        const std::string& name,
                        const Price& wanted,
                        WallTime now) {
    const auto last = last_price(database, name);
    RETURN_IF_ERROR(last);
    if (*last && is_same_price(**last, wanted)) return **last;
    RETURN_IF_ERROR(insert_price(database, name, wanted, now));
    Price price = wanted;
    price.version = database.last_row_id();
    RETURN_IF_ERROR(write_audit(database, "operator", "price.set", name,
                                "version " + std::to_string(price.version), now));
    return price;
}

Status check_endpoint(Database& database, const EndpointId& endpoint) {
    Statement row =
        database.prepare("SELECT 1 FROM endpoints WHERE id = ? AND deleted_at_us IS NULL");
    const bool exists = row.bind(endpoint.value()).step();
    RETURN_IF_ERROR(row.status());
    if (!exists) return Error{ErrorCode::kNotFound, "no endpoint '" + endpoint.value() + "'", {}};
    return {};
}

Status upsert_name(Database& database, const ModelName& name, WallTime now) {
    Statement upsert = database.prepare(
        "INSERT INTO model_names (name, endpoint, owner, served_model, display_name, organization, "
        "context_length, created_at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO "
        "UPDATE SET endpoint = excluded.endpoint, owner = excluded.owner, served_model = "
        "excluded.served_model, display_name = excluded.display_name, organization = "
        "excluded.organization, context_length = excluded.context_length");
    upsert.bind(name.name).bind(name.endpoint.value());
    if (name.owner) {
        upsert.bind(name.owner->value());
    } else {
        upsert.bind_null();
    }
    return upsert.bind(name.served_model)
        .bind(name.display_name)
        .bind(name.organization)
        .bind(name.context_length)
        .bind(now)
        .run();
}

Result<WallTime> created_at(Database& database, const std::string& name) {
    Statement row = database.prepare("SELECT created_at_us FROM model_names WHERE name = ?");
    const WallTime time = row.bind(name).step() ? row.time(0) : WallTime();
    RETURN_IF_ERROR(row.status());
    return time;
}

ModelRow row_of(const ModelName& name, const Price& price, WallTime created) {
    ModelRow row;
    row.name = name.name;
    row.endpoint = name.endpoint;
    row.owner = name.owner;
    row.served_model = name.served_model;
    row.display_name = name.display_name;
    row.organization = name.organization;
    row.context_length = name.context_length;
    row.created_at = created;
    row.price = price;
    return row;
}

Result<std::vector<std::string>> names_of(Database& database, const EndpointId& endpoint) {
    Statement rows = database.prepare("SELECT name FROM model_names WHERE endpoint = ?");
    rows.bind(endpoint.value());
    std::vector<std::string> names;
    while (rows.step()) names.push_back(rows.text(0));
    RETURN_IF_ERROR(rows.status());
    return names;
}

ModelRow read_model(const Statement& row) {
    ModelName name{row.text(0), EndpointId(row.text(1)), std::nullopt, row.text(3), row.text(4),
                   row.text(5), row.integer(6)};
    if (!row.is_null(2)) name.owner = OrgId(row.text(2));
    return row_of(name, read_price(row, 8), row.time(7));
}

}  // namespace

Result<ModelRow> write_model_name(Database& database,
                                  const ModelName& name,
                                  const Price& price,
                                  WallTime now) {
    if (name.name.empty()) return invalid_argument("expected a model name", "name");
    RETURN_IF_ERROR(check_price(price));
    RETURN_IF_ERROR(check_endpoint(database, name.endpoint));
    RETURN_IF_ERROR(upsert_name(database, name, now));
    const auto versioned = set_price(database, name.name, price, now);
    RETURN_IF_ERROR(versioned);
    const auto created = created_at(database, name.name);
    RETURN_IF_ERROR(created);
    ModelRow row = row_of(name, *versioned, *created);
    RETURN_IF_ERROR(publish(database, kModelKind, name.name, write_row(row)));
    return row;
}

Status erase_model_name(Database& database, const std::string& name) {
    RETURN_IF_ERROR(database.prepare("DELETE FROM model_names WHERE name = ?").bind(name).run());
    return publish(database, kModelKind, name, std::nullopt);
}

Status erase_model_names_of(Database& database, const EndpointId& endpoint) {
    const auto names = names_of(database, endpoint);
    RETURN_IF_ERROR(names);
    for (const std::string& name : *names) RETURN_IF_ERROR(erase_model_name(database, name));
    return {};
}

Result<ModelRow> put_model_name(Store& store,
                                const ModelName& name,
                                const Price& price,
                                WallTime now) {
    ModelRow row;
    RETURN_IF_ERROR(store.write([&](Database& database) -> Status {
        auto written = write_model_name(database, name, price, now);
        RETURN_IF_ERROR(written);
        row = std::move(*written);
        return {};
    }));
    return row;
}

Status remove_model_name(Store& store, const std::string& name) {
    return store.write([&](Database& database) { return erase_model_name(database, name); });
}

Result<std::vector<ModelRow>> list_models(const Store& store) {
    std::vector<ModelRow> models;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        Statement rows = database.prepare(
            "SELECT n.name, n.endpoint, n.owner, n.served_model, n.display_name, n.organization, "
            "n.context_length, n.created_at_us, " TURNPIKE_PRICE_COLUMNS
            "FROM model_names n JOIN prices p ON p.version = (SELECT max(version) FROM prices "
            "WHERE name = n.name) ORDER BY n.name");
        while (rows.step()) models.push_back(read_model(rows));
        return rows.status();
    }));
    return models;
}

Result<Price> find_price(const Store& store, std::int64_t version) {
    std::optional<Price> price;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        Statement row =
            database.prepare("SELECT " TURNPIKE_PRICE_COLUMNS "FROM prices WHERE version = ?");
        if (row.bind(version).step()) price = read_price(row, 0);
        return row.status();
    }));
    if (!price) {
        return Error{ErrorCode::kNotFound, "no price version " + std::to_string(version),
                     "price_version"};
    }
    return *price;
}

}  // namespace turnpike::controlplane
