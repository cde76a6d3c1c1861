// Published rows and their revisions.
#include "controlplane/store/publish.h"

#include "controlplane/api/endpoint.h"

namespace turnpike::controlplane {
namespace {

Result<bool> is_as_published(Database& database,
                             std::string_view kind,
                             const std::string& id,
                             const std::optional<std::string>& body) {
    Statement row = database.prepare("SELECT body FROM published WHERE kind = ? AND id = ?");
    row.bind(kind).bind(id);
    const bool exists = row.step();
    RETURN_IF_ERROR(row.status());
    // What was never published needs no deletion.
    if (!exists) return !body.has_value();
    if (row.is_null(0)) return !body.has_value();
    return body.has_value() && row.text(0) == *body;
}

Result<std::int64_t> next_revision(Database& database) {
    RETURN_IF_ERROR(database.prepare("UPDATE identity SET revision = revision + 1").run());
    return read_revision(database);
}

Result<std::vector<ReplicaRow>> read_ready_replicas(Database& database, const EndpointId& id) {
    Statement rows = database.prepare(
        "SELECT id, address, epoch FROM replicas WHERE endpoint = ? AND state = ? AND "
        "forgotten_at_us IS NULL ORDER BY id");
    rows.bind(id.value()).bind(to_string(ReplicaState::kReady));
    std::vector<ReplicaRow> replicas;
    while (rows.step()) {
        replicas.push_back({ReplicaId(rows.text(0)), rows.text(1), Epoch(rows.integer(2))});
    }
    RETURN_IF_ERROR(rows.status());
    return replicas;
}

// Whether requests start it; empty when it is deleted.
Result<std::optional<bool>> find_wakes(Database& database, const EndpointId& id) {
    Statement row = database.prepare(
        "SELECT min_replicas = 0 AND desired = ? FROM endpoints WHERE id = ? AND deleted_at_us IS "
        "NULL");
    const bool is_live = row.bind(to_string(DesiredState::kStarted)).bind(id.value()).step();
    RETURN_IF_ERROR(row.status());
    if (!is_live) return std::optional<bool>();
    return std::optional<bool>(row.integer(0) != 0);
}

}  // namespace

Status publish(Database& database,
               std::string_view kind,
               const std::string& id,
               const std::optional<std::string>& body) {
    const auto is_same = is_as_published(database, kind, id, body);
    RETURN_IF_ERROR(is_same);
    if (*is_same) return {};
    const auto revision = next_revision(database);
    RETURN_IF_ERROR(revision);
    Statement upsert = database.prepare(
        "INSERT INTO published (kind, id, revision, body) VALUES (?, ?, ?, ?) ON CONFLICT (kind, "
        "id) DO UPDATE SET revision = excluded.revision, body = excluded.body");
    upsert.bind(kind).bind(id).bind(*revision);
    if (body) {
        upsert.bind(*body);
    } else {
        upsert.bind_null();
    }
    return upsert.run();
}

Status publish_endpoint(Database& database, const EndpointId& id) {
    const auto wakes = find_wakes(database, id);
    RETURN_IF_ERROR(wakes);
    if (!*wakes) return publish(database, kEndpointKind, id.value(), std::nullopt);
    auto replicas = read_ready_replicas(database, id);
    RETURN_IF_ERROR(replicas);
    EndpointRow row;
    row.id = id;
    row.replicas = std::move(*replicas);
    row.wakes = **wakes;
    return publish(database, kEndpointKind, id.value(), write_row(row));
}

Result<std::int64_t> read_revision(Database& database) {
    Statement row = database.prepare("SELECT revision FROM identity");
    const std::int64_t revision = row.step() ? row.integer(0) : 0;
    RETURN_IF_ERROR(row.status());
    return revision;
}

Result<StoreIdentity> read_identity(Database& database) {
    Statement row = database.prepare("SELECT store_id, founded_as, revision FROM identity");
    StoreIdentity identity;
    if (row.step()) identity = {row.text(0), row.text(1), row.integer(2)};
    RETURN_IF_ERROR(row.status());
    return identity;
}

Result<std::vector<PublishedRow>> read_published(Database& database,
                                                 std::int64_t after,
                                                 bool is_full) {
    Statement rows = database.prepare(
        "SELECT kind, id, body FROM published WHERE revision > ? ORDER BY revision");
    rows.bind(after);
    std::vector<PublishedRow> published;
    while (rows.step()) {
        PublishedRow row{rows.text(0), rows.text(1), std::nullopt};
        if (!rows.is_null(2)) row.body = rows.text(2);
        if (row.body || !is_full) published.push_back(std::move(row));
    }
    RETURN_IF_ERROR(rows.status());
    return published;
}

}  // namespace turnpike::controlplane
