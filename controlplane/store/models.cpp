// Model names in control.db.
#include "controlplane/store/models.h"

#include <utility>

#include "controlplane/store/audit.h"
#include "controlplane/store/model_names.h"
#include "controlplane/store/prices.h"
#include "controlplane/store/publish.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

// Names come from the settings; those of dedicated endpoints are audited as their endpoints.
constexpr const char* kActor = "settings";

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

#define TURNPIKE_MODEL_COLUMNS                                                                 \
    "SELECT name, endpoint, owner, served_model, display_name, organization, context_length, " \
    "created_at_us FROM model_names "

ModelRow read_row(const Statement& row) {
    ModelRow model;
    model.name = row.text(0);
    model.endpoint = EndpointId(row.text(1));
    if (!row.is_null(2)) model.owner = OrgId(row.text(2));
    model.served_model = row.text(3);
    model.display_name = row.text(4);
    model.organization = row.text(5);
    model.context_length = row.integer(6);
    model.created_at = row.time(7);
    return model;
}

Status add_prices(Database& database, ModelRow& model, WallTime now) {
    auto prices = read_prices(database, model.name, now);
    RETURN_IF_ERROR(prices);
    if (!prices->current) {
        return Error{ErrorCode::kCorrupt, "the model name '" + model.name + "' has no price", {}};
    }
    model.price = *prices->current;
    model.upcoming = std::move(prices->upcoming);
    return {};
}

// The name as the audit tells of it; its prices have rows of their own. Empty: no such name.
Result<std::string> terms_of(Database& database, const std::string& name) {
    Statement rows = database.prepare(TURNPIKE_MODEL_COLUMNS "WHERE name = ?");
    std::string terms;
    if (rows.bind(name).step()) {
        const ModelRow row = read_row(rows);
        terms = "at " + row.endpoint.value() + ", served by " + row.served_model + ", " +
                row.display_name + " of " + row.organization + ", context " +
                std::to_string(row.context_length);
    }
    RETURN_IF_ERROR(rows.status());
    return terms;
}

Result<std::vector<std::string>> names_of(Database& database, const EndpointId& endpoint) {
    Statement rows = database.prepare("SELECT name FROM model_names WHERE endpoint = ?");
    rows.bind(endpoint.value());
    std::vector<std::string> names;
    while (rows.step()) names.push_back(rows.text(0));
    RETURN_IF_ERROR(rows.status());
    return names;
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
    RETURN_IF_ERROR(put_settings_price(database, name.name, price, now));
    return publish_model_name(database, name.name, now);
}

Result<ModelRow> publish_model_name(Database& database, const std::string& name, WallTime now) {
    Statement rows = database.prepare(TURNPIKE_MODEL_COLUMNS "WHERE name = ?");
    std::optional<ModelRow> model;
    if (rows.bind(name).step()) model = read_row(rows);
    RETURN_IF_ERROR(rows.status());
    if (!model) {
        return Error{ErrorCode::kNotFound, "no model name '" + excerpt(name) + "'", "name"};
    }
    RETURN_IF_ERROR(add_prices(database, *model, now));
    RETURN_IF_ERROR(publish(database, kModelKind, name, write_row(*model)));
    return *model;
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
        const auto before = terms_of(database, name.name);
        RETURN_IF_ERROR(before);
        auto written = write_model_name(database, name, price, now);
        RETURN_IF_ERROR(written);
        row = std::move(*written);
        const auto after = terms_of(database, name.name);
        RETURN_IF_ERROR(after);
        // Every start gives the names of the settings again.
        if (*before == *after) return {};
        return write_audit(database, kActor, "name.set", row.name, *after, now);
    }));
    return row;
}

Status remove_model_name(Store& store, const std::string& name, WallTime now) {
    return store.write([&](Database& database) -> Status {
        const auto before = terms_of(database, name);
        RETURN_IF_ERROR(before);
        RETURN_IF_ERROR(erase_model_name(database, name));
        if (before->empty()) return {};
        return write_audit(database, kActor, "name.remove", name, *before, now);
    });
}

Result<std::vector<ModelRow>> list_models(const Store& store, WallTime now) {
    std::vector<ModelRow> models;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        Statement rows = database.prepare(TURNPIKE_MODEL_COLUMNS "ORDER BY name");
        while (rows.step()) models.push_back(read_row(rows));
        RETURN_IF_ERROR(rows.status());
        for (ModelRow& model : models) RETURN_IF_ERROR(add_prices(database, model, now));
        return {};
    }));
    return models;
}

Result<Price> find_price(const Store& store, std::int64_t version) {
    std::optional<Price> price;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        const auto found = read_price_version(database, version);
        RETURN_IF_ERROR(found);
        price = *found;
        return {};
    }));
    if (!price) {
        return Error{ErrorCode::kNotFound, "no price version " + std::to_string(version),
                     "price_version"};
    }
    return *price;
}

}  // namespace turnpike::controlplane
