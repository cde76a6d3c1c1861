// The codec of snapshots and of their rows; see ops/docs/formats/snapshot.md.
#include "controlplane/api/snapshot.h"

#include <limits>
#include <utility>

#include "controlplane/api/json_fields.h"

namespace turnpike::controlplane {

using nlohmann::json;

namespace {

json to_json(const OrganisationRow& row) {
    return json{{"id", row.id.value()}, {"name", row.name}, {"cache_salt", row.cache_salt}};
}

json to_json(const KeyRow& row) {
    json object{{"id", row.id.value()},     {"org", row.org.value()},
                {"mac", row.mac_hex},       {"pepper_version", row.pepper_version},
                {"redacted", row.redacted}, {"expires_at_us", nullptr}};
    if (row.expires_at) object["expires_at_us"] = to_unix_us(*row.expires_at);
    return object;
}

json to_json(const Price& price) {
    return json{{"version", price.version},
                {"input_nano_usd", price.input_nano_usd.value()},
                {"cached_input_nano_usd", price.cached_input_nano_usd.value()},
                {"output_nano_usd", price.output_nano_usd.value()},
                {"per_minute_nano_usd", price.per_minute_nano_usd.value()}};
}

json to_json(const ModelRow& row) {
    json object{{"name", row.name},
                {"endpoint", row.endpoint.value()},
                {"owner", nullptr},
                {"served_model", row.served_model},
                {"display_name", row.display_name},
                {"organization", row.organization},
                {"context_length", row.context_length},
                {"created_at_us", to_unix_us(row.created_at)},
                {"price", to_json(row.price)}};
    if (row.owner) object["owner"] = row.owner->value();
    for (const DatedPrice& dated : row.upcoming) {
        object["upcoming"].push_back(
            json{{"from_at_us", to_unix_us(dated.from)}, {"price", to_json(dated.price)}});
    }
    return object;
}

json to_json(const EndpointRow& row) {
    json replicas = json::array();
    for (const ReplicaRow& replica : row.replicas) {
        replicas.push_back(json{{"id", replica.id.value()},
                                {"address", replica.address},
                                {"epoch", replica.epoch.value()}});
    }
    json object{{"id", row.id.value()}, {"replicas", std::move(replicas)}};
    if (row.wakes) object["wakes"] = true;
    return object;
}

json to_json(const LimitsRow& row) {
    json object = json::parse(write_limits(row.limits));
    object["subject"] = row.subject;
    return object;
}

Result<LimitsRow> read(const json& object, const LimitsRow&) {
    JsonFields fields(object, "limits row");
    LimitsRow row;
    row.subject = fields.text("subject");
    RETURN_IF_ERROR(fields.finish());
    const auto limits = parse_limits(object.dump());
    RETURN_IF_ERROR(limits);
    row.limits = *limits;
    return row;
}

Result<OrganisationRow> read(const json& object, const OrganisationRow&) {
    JsonFields fields(object, "organisation row");
    OrganisationRow row;
    row.id = OrgId(fields.text("id"));
    row.name = fields.text("name");
    row.cache_salt = fields.text("cache_salt");
    RETURN_IF_ERROR(fields.finish());
    return row;
}

Result<KeyRow> read(const json& object, const KeyRow&) {
    JsonFields fields(object, "key row");
    KeyRow row;
    row.id = KeyId(fields.text("id"));
    row.org = OrgId(fields.text("org"));
    row.mac_hex = fields.text("mac");
    row.pepper_version =
        static_cast<int>(fields.integer("pepper_version", 0, std::numeric_limits<int>::max()));
    row.redacted = fields.text("redacted");
    if (const auto expires_at_us = fields.optional_integer("expires_at_us")) {
        row.expires_at = from_unix_us(*expires_at_us);
    }
    RETURN_IF_ERROR(fields.finish());
    return row;
}

Price read_price(const json& object, JsonFields& parent) {
    JsonFields fields(object, "price");
    Price price;
    price.version = fields.integer("version");
    const auto per_token = [&](const char* key) {
        return NanoUsd(fields.integer(key, 0, kMaxTokenPrice.value()));
    };
    price.input_nano_usd = per_token("input_nano_usd");
    price.cached_input_nano_usd = per_token("cached_input_nano_usd");
    price.output_nano_usd = per_token("output_nano_usd");
    price.per_minute_nano_usd =
        NanoUsd(fields.integer("per_minute_nano_usd", 0, std::numeric_limits<std::int64_t>::max()));
    if (const Status status = fields.finish(); !status) parent.fail(status.error().message);
    return price;
}

// Rows of older control planes have none.
std::vector<DatedPrice> read_upcoming(const json& object, JsonFields& parent) {
    std::vector<DatedPrice> upcoming;
    const auto found = object.find("upcoming");
    if (found == object.end()) return upcoming;
    if (!found->is_array()) parent.fail("'upcoming': expected an array");
    for (const json& entry : *found) {
        JsonFields fields(entry, "upcoming price");
        const WallTime from = from_unix_us(fields.integer("from_at_us"));
        upcoming.push_back({from, read_price(fields.object("price"), fields)});
        if (const Status status = fields.finish(); !status) parent.fail(status.error().message);
    }
    return upcoming;
}

Result<ModelRow> read(const json& object, const ModelRow&) {
    JsonFields fields(object, "model row");
    ModelRow row;
    row.name = fields.text("name");
    row.endpoint = EndpointId(fields.text("endpoint"));
    if (auto owner = fields.optional_text("owner")) row.owner = OrgId(std::move(*owner));
    row.served_model = fields.text("served_model");
    row.display_name = fields.text("display_name");
    row.organization = fields.text("organization");
    row.context_length = fields.integer("context_length");
    row.created_at = from_unix_us(fields.integer("created_at_us"));
    row.price = read_price(fields.object("price"), fields);
    row.upcoming = read_upcoming(object, fields);
    RETURN_IF_ERROR(fields.finish());
    return row;
}

Result<EndpointRow> read(const json& object, const EndpointRow&) {
    JsonFields fields(object, "endpoint row");
    EndpointRow row;
    row.id = EndpointId(fields.text("id"));
    for (const json& entry : fields.array("replicas")) {
        JsonFields replica_fields(entry, "replica row");
        ReplicaRow replica;
        replica.id = ReplicaId(replica_fields.text("id"));
        replica.address = replica_fields.text("address");
        replica.epoch = Epoch(replica_fields.integer("epoch"));
        RETURN_IF_ERROR(replica_fields.finish());
        row.replicas.push_back(std::move(replica));
    }
    if (object.contains("wakes")) row.wakes = fields.boolean("wakes");
    RETURN_IF_ERROR(fields.finish());
    return row;
}

template <class Row>
json changes_to_json(const std::vector<Change<Row>>& changes) {
    json array = json::array();
    for (const Change<Row>& change : changes) {
        array.push_back(
            json{{"id", change.id}, {"row", change.row ? to_json(*change.row) : json()}});
    }
    return array;
}

template <class Row>
Status read_changes(const json& array, std::vector<Change<Row>>& changes) {
    for (const json& entry : array) {
        JsonFields fields(entry, "snapshot change");
        Change<Row> change;
        change.id = fields.text("id");
        RETURN_IF_ERROR(fields.finish());
        const auto body = entry.find("row");
        if (body == entry.end())
            return Error{ErrorCode::kCorrupt, "snapshot change: 'row' is missing", {}};
        if (!body->is_null()) {
            auto row = read(*body, Row());
            RETURN_IF_ERROR(row);
            change.row = std::move(*row);
        }
        changes.push_back(std::move(change));
    }
    return {};
}

}  // namespace

const Price& price_at(const ModelRow& model, WallTime now) {
    const Price* price = &model.price;
    for (const DatedPrice& dated : model.upcoming) {
        if (dated.from <= now) price = &dated.price;
    }
    return *price;
}

std::string write_snapshot(const Snapshot& snapshot) {
    return write_json({{"store", snapshot.store_id},
                       {"revision", snapshot.revision},
                       {"full", snapshot.is_full},
                       {"organisations", changes_to_json(snapshot.organisations)},
                       {"keys", changes_to_json(snapshot.keys)},
                       {"models", changes_to_json(snapshot.models)},
                       {"endpoints", changes_to_json(snapshot.endpoints)},
                       {"limits", changes_to_json(snapshot.limits)}});
}

Result<Snapshot> parse_snapshot(std::string_view text) {
    const auto object = parse_object(text, "snapshot");
    RETURN_IF_ERROR(object);
    JsonFields fields(*object, "snapshot");
    Snapshot snapshot;
    snapshot.store_id = fields.text("store");
    snapshot.revision = fields.integer("revision");
    snapshot.is_full = fields.boolean("full");
    const json& organisations = fields.array("organisations");
    const json& keys = fields.array("keys");
    const json& models = fields.array("models");
    const json& endpoints = fields.array("endpoints");
    RETURN_IF_ERROR(fields.finish());
    RETURN_IF_ERROR(read_changes(organisations, snapshot.organisations));
    RETURN_IF_ERROR(read_changes(keys, snapshot.keys));
    RETURN_IF_ERROR(read_changes(models, snapshot.models));
    RETURN_IF_ERROR(read_changes(endpoints, snapshot.endpoints));
    // A file that an earlier version wrote has none.
    const auto limits = object->find("limits");
    if (limits != object->end()) RETURN_IF_ERROR(read_changes(*limits, snapshot.limits));
    return snapshot;
}

std::string write_published(std::string_view store_id,
                            std::int64_t revision,
                            bool is_full,
                            std::span<const PublishedRow> rows) {
    std::string text = "{\"store\":" + write_json(store_id) +
                       ",\"revision\":" + std::to_string(revision) +
                       ",\"full\":" + (is_full ? "true" : "false");
    for (const std::string_view kind :
         {kOrganisationKind, kKeyKind, kModelKind, kEndpointKind, kLimitsKind}) {
        text += ",\"" + std::string(kind) + "\":[";
        bool is_first = true;
        for (const PublishedRow& row : rows) {
            if (row.kind != kind) continue;
            text += (is_first ? "{\"id\":" : ",{\"id\":") + write_json(row.id) +
                    ",\"row\":" + row.body.value_or("null") + "}";
            is_first = false;
        }
        text += "]";
    }
    return text + "}";
}

std::string write_row(const OrganisationRow& row) {
    return write_json(to_json(row));
}

std::string write_row(const KeyRow& row) {
    return write_json(to_json(row));
}

std::string write_row(const ModelRow& row) {
    return write_json(to_json(row));
}

std::string write_row(const EndpointRow& row) {
    return write_json(to_json(row));
}

std::string write_row(const LimitsRow& row) {
    return write_json(to_json(row));
}

}  // namespace turnpike::controlplane
