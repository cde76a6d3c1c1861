// Endpoints, operations and audit in control.db.
#include "controlplane/store/endpoints.h"

#include <utility>

#include "config/crypto/identifiers.h"
#include "controlplane/store/audit.h"
#include "controlplane/store/model_names.h"
#include "controlplane/store/publish.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

#define TURNPIKE_ENDPOINT_COLUMNS                                                           \
    "SELECT id, name, display_name, model, hardware, type, owner, desired, state, reason, " \
    "min_replicas, max_replicas, inactive_timeout_minutes, generation, created_at_us, "     \
    "deleted_at_us, disable_speculative_decoding, target_replicas, last_active_at_us, "     \
    "stop_reason, unpaid_since_us, rollout FROM endpoints "

Result<Endpoint> read_row(const Statement& row) {
    Endpoint endpoint;
    endpoint.id = EndpointId(row.text(0));
    endpoint.name = row.text(1);
    endpoint.display_name = row.text(2);
    endpoint.model = row.text(3);
    endpoint.hardware = row.text(4);
    const auto type = parse_endpoint_type(row.text(5));
    RETURN_IF_ERROR(type);
    endpoint.type = *type;
    endpoint.owner = OrgId(row.text(6));
    const auto desired = parse_desired_state(row.text(7));
    RETURN_IF_ERROR(desired);
    endpoint.desired = *desired;
    const auto state = parse_endpoint_state(row.text(8));
    RETURN_IF_ERROR(state);
    endpoint.state = *state;
    endpoint.reason = row.text(9);
    endpoint.autoscaling = {row.small(10), row.small(11)};
    endpoint.inactive_timeout_minutes = row.integer(12);
    endpoint.generation = row.integer(13);
    endpoint.created_at = row.time(14);
    endpoint.is_deleted = !row.is_null(15);
    endpoint.disable_speculative_decoding = row.integer(16) != 0;
    endpoint.target_replicas = row.small(17);
    endpoint.last_active_at = row.time(18);
    endpoint.stop_reason = row.text(19);
    endpoint.unpaid_since = row.optional_time(20);
    endpoint.rollout = row.integer(21);
    return endpoint;
}

Result<std::vector<Endpoint>> read_rows(Statement& rows) {
    std::vector<Endpoint> endpoints;
    while (rows.step()) {
        auto endpoint = read_row(rows);
        RETURN_IF_ERROR(endpoint);
        endpoints.push_back(std::move(*endpoint));
    }
    RETURN_IF_ERROR(rows.status());
    return endpoints;
}

Result<std::optional<Endpoint>> read_first(Statement& rows) {
    auto endpoints = read_rows(rows);
    RETURN_IF_ERROR(endpoints);
    if (endpoints->empty()) return std::optional<Endpoint>();
    return std::optional<Endpoint>(std::move(endpoints->front()));
}

Result<Endpoint> find_live(Database& database, const EndpointId& id) {
    Statement row =
        database.prepare(TURNPIKE_ENDPOINT_COLUMNS "WHERE id = ? AND deleted_at_us IS NULL");
    row.bind(id.value());
    auto endpoint = read_first(row);
    RETURN_IF_ERROR(endpoint);
    if (!*endpoint) return Error{ErrorCode::kNotFound, "no endpoint '" + id.value() + "'", {}};
    return std::move(**endpoint);
}

Result<std::optional<Endpoint>> find_made_before(Database& database, const NewEndpoint& request) {
    if (request.idempotency_key.empty()) return std::optional<Endpoint>();
    Statement row =
        database.prepare(TURNPIKE_ENDPOINT_COLUMNS "WHERE owner = ? AND idempotency_key = ?");
    row.bind(request.wanted.owner.value()).bind(request.idempotency_key);
    return read_first(row);
}

Status check_owner_and_name(Database& database, const Endpoint& wanted) {
    Statement owner = database.prepare("SELECT 1 FROM organisations WHERE id = ?");
    const bool has_owner = owner.bind(wanted.owner.value()).step();
    RETURN_IF_ERROR(owner.status());
    if (!has_owner) {
        return Error{ErrorCode::kNotFound, "no organisation '" + wanted.owner.value() + "'", "org"};
    }
    Statement name = database.prepare("SELECT 1 FROM endpoints WHERE name = ?");
    const bool is_taken = name.bind(wanted.name).step();
    RETURN_IF_ERROR(name.status());
    if (is_taken) {
        return Error{ErrorCode::kConflict, "an endpoint named '" + wanted.name + "' exists",
                     "name"};
    }
    return {};
}

int num_wanted_at_most(const Endpoint& endpoint) {
    return endpoint.desired == DesiredState::kStarted ? endpoint.autoscaling.max_replicas : 0;
}

// Whether there is room for `wanted` beside its owner's others.
Status check_quota(Database& database, const Endpoint& wanted, const EndpointQuota& quota) {
    Statement row = database.prepare(
        "SELECT count(*), coalesce(sum(CASE desired WHEN 'STARTED' THEN max_replicas ELSE 0 END), "
        "0) FROM endpoints WHERE owner = ? AND type = ? AND deleted_at_us IS NULL AND id <> ?");
    row.bind(wanted.owner.value())
        .bind(to_string(EndpointType::kDedicated))
        .bind(wanted.id.value());
    if (!row.step()) return row.status();
    const std::int64_t num_endpoints = row.integer(0) + 1;
    const std::int64_t num_replicas = row.integer(1) + num_wanted_at_most(wanted);
    const auto over = [](const std::string& what, std::int64_t found, int most) {
        return Error{ErrorCode::kPermissionDenied,
                     "this organisation would have " + std::to_string(found) + " " + what +
                         ", and its quota is " + std::to_string(most),
                     {}};
    };
    if (quota.max_endpoints > 0 && num_endpoints > quota.max_endpoints)
        return over("dedicated endpoints", num_endpoints, quota.max_endpoints);
    if (quota.max_replicas > 0 && num_replicas > quota.max_replicas)
        return over("replicas at most", num_replicas, quota.max_replicas);
    return {};
}

Status insert_endpoint(Database& database, const Endpoint& made, const std::string& key) {
    Statement insert = database.prepare(
        "INSERT INTO endpoints (id, name, display_name, model, hardware, type, owner, desired, "
        "state, reason, min_replicas, max_replicas, inactive_timeout_minutes, generation, "
        "created_at_us, disable_speculative_decoding, target_replicas, last_active_at_us, "
        "idempotency_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    insert.bind(made.id.value())
        .bind(made.name)
        .bind(made.display_name)
        .bind(made.model)
        .bind(made.hardware)
        .bind(to_string(made.type))
        .bind(made.owner.value())
        .bind(to_string(made.desired))
        .bind(to_string(made.state))
        .bind(std::int64_t{made.autoscaling.min_replicas})
        .bind(std::int64_t{made.autoscaling.max_replicas})
        .bind(made.inactive_timeout_minutes)
        .bind(made.generation)
        .bind(made.created_at)
        .bind(std::int64_t{made.disable_speculative_decoding})
        .bind(std::int64_t{made.target_replicas})
        .bind(made.last_active_at);
    if (key.empty()) {
        insert.bind_null();
    } else {
        insert.bind(key);
    }
    return insert.run();
}

Status write_operation(Database& database,
                       const Endpoint& endpoint,
                       const std::string& kind,
                       const std::string& actor,
                       WallTime now) {
    RETURN_IF_ERROR(database
                        .prepare("INSERT INTO operations (endpoint, kind, generation, actor, "
                                 "created_at_us) VALUES (?, ?, ?, ?, ?)")
                        .bind(endpoint.id.value())
                        .bind(kind)
                        .bind(endpoint.generation)
                        .bind(actor)
                        .bind(now)
                        .run());
    return write_audit(database, actor, "endpoint." + kind, endpoint.id.value(), endpoint.name,
                       now);
}

Status finish_operations(Database& database, const EndpointId& id, WallTime now) {
    return database
        .prepare(
            "UPDATE operations SET finished_at_us = ? WHERE endpoint = ? AND finished_at_us "
            "IS NULL")
        .bind(now)
        .bind(id.value())
        .run();
}

Status publish_own_name(Database& database,
                        const NewEndpoint& request,
                        const Endpoint& made,
                        WallTime now) {
    if (!request.published) return {};
    ModelName name = *request.published;
    name.name = made.name;
    name.endpoint = made.id;
    const auto row = write_model_name(database, name, request.price, now);
    RETURN_IF_ERROR(row);
    return {};
}

// True when anything differs.
bool apply_change(Endpoint& endpoint, const EndpointChange& change) {
    const Endpoint before = endpoint;
    if (change.display_name) endpoint.display_name = *change.display_name;
    if (change.autoscaling) endpoint.autoscaling = *change.autoscaling;
    if (change.inactive_timeout_minutes) {
        endpoint.inactive_timeout_minutes = *change.inactive_timeout_minutes;
    }
    if (change.disable_speculative_decoding) {
        endpoint.disable_speculative_decoding = *change.disable_speculative_decoding;
    }
    const bool runs_another =
        endpoint.disable_speculative_decoding != before.disable_speculative_decoding;
    if (change.restart || runs_another) ++endpoint.rollout;
    if (change.desired) {
        endpoint.desired = *change.desired;
        endpoint.stop_reason = change.stop_reason.value_or("");
    }
    const bool starts_again =
        change.desired == DesiredState::kStarted &&
        (before.desired == DesiredState::kStopped || before.state == EndpointState::kError);
    if (starts_again) {
        endpoint.state = EndpointState::kPending;
        endpoint.reason.clear();
        endpoint.target_replicas = endpoint.autoscaling.min_replicas;
    }
    return starts_again || endpoint.desired != before.desired ||
           endpoint.display_name != before.display_name ||
           endpoint.inactive_timeout_minutes != before.inactive_timeout_minutes ||
           endpoint.rollout != before.rollout ||
           endpoint.autoscaling.min_replicas != before.autoscaling.min_replicas ||
           endpoint.autoscaling.max_replicas != before.autoscaling.max_replicas;
}

Status save(Database& database, const Endpoint& endpoint) {
    return database
        .prepare(
            "UPDATE endpoints SET display_name = ?, desired = ?, state = ?, reason = ?, "
            "min_replicas = ?, max_replicas = ?, inactive_timeout_minutes = ?, "
            "disable_speculative_decoding = ?, generation = ?, target_replicas = ?, stop_reason = "
            "?, rollout = ? WHERE id = ?")
        .bind(endpoint.display_name)
        .bind(to_string(endpoint.desired))
        .bind(to_string(endpoint.state))
        .bind(endpoint.reason)
        .bind(std::int64_t{endpoint.autoscaling.min_replicas})
        .bind(std::int64_t{endpoint.autoscaling.max_replicas})
        .bind(endpoint.inactive_timeout_minutes)
        .bind(std::int64_t{endpoint.disable_speculative_decoding})
        .bind(endpoint.generation)
        .bind(std::int64_t{endpoint.target_replicas})
        .bind(endpoint.stop_reason)
        .bind(endpoint.rollout)
        .bind(endpoint.id.value())
        .run();
}

Status write_activity(Database& database, const EndpointId& id, WallTime at) {
    return database.prepare("UPDATE endpoints SET last_active_at_us = ? WHERE id = ?")
        .bind(at)
        .bind(id.value())
        .run();
}

Status mark_deleted(Database& database, const EndpointId& id, WallTime now) {
    return database.prepare("UPDATE endpoints SET deleted_at_us = ? WHERE id = ?")
        .bind(now)
        .bind(id.value())
        .run();
}

// Empty: this model was never noted.
Result<std::optional<std::string>> find_model_run(Database& database, const std::string& model) {
    Statement row = database.prepare("SELECT digest FROM model_runs WHERE model = ?");
    row.bind(model);
    std::optional<std::string> digest;
    if (row.step()) digest = row.text(0);
    RETURN_IF_ERROR(row.status());
    return digest;
}

Status write_model_run(Database& database,
                       const std::string& model,
                       const std::string& digest,
                       WallTime now) {
    return database
        .prepare(
            "INSERT INTO model_runs (model, digest, changed_at_us) VALUES (?, ?, ?) ON "
            "CONFLICT (model) DO UPDATE SET digest = excluded.digest, changed_at_us = "
            "excluded.changed_at_us")
        .bind(model)
        .bind(digest)
        .bind(now)
        .run();
}

Result<std::vector<Endpoint>> find_live_of_model(Database& database, const std::string& model) {
    Statement rows = database.prepare(TURNPIKE_ENDPOINT_COLUMNS
                                      "WHERE model = ? AND deleted_at_us IS NULL ORDER BY id");
    rows.bind(model);
    return read_rows(rows);
}

Status write_state(Database& database,
                   const EndpointId& id,
                   EndpointState state,
                   const std::string& reason) {
    return database.prepare("UPDATE endpoints SET state = ?, reason = ? WHERE id = ?")
        .bind(to_string(state))
        .bind(reason)
        .bind(id.value())
        .run();
}

}  // namespace

Result<Endpoint> create_endpoint(Store& store, const NewEndpoint& request, WallTime now) {
    Endpoint made = request.wanted;
    RETURN_IF_ERROR(store.write([&](Database& database) -> Status {
        auto before = find_made_before(database, request);
        RETURN_IF_ERROR(before);
        if (*before) {
            made = std::move(**before);
            return {};
        }
        RETURN_IF_ERROR(check_owner_and_name(database, made));
        RETURN_IF_ERROR(check_quota(database, made, request.quota));
        if (made.id.value().empty()) made.id = EndpointId("endpoint-" + crypto::new_uuid4());
        made.generation = 1;
        made.rollout = 1;
        made.created_at = now;
        made.last_active_at = now;
        made.target_replicas = made.autoscaling.min_replicas;
        made.is_deleted = false;
        made.reason.clear();
        made.state = made.desired == DesiredState::kStarted ? EndpointState::kPending
                                                            : EndpointState::kStopped;
        RETURN_IF_ERROR(insert_endpoint(database, made, request.idempotency_key));
        RETURN_IF_ERROR(write_operation(database, made, "create", request.actor, now));
        RETURN_IF_ERROR(publish_own_name(database, request, made, now));
        return publish_endpoint(database, made.id);
    }));
    return made;
}

Result<std::vector<Endpoint>> list_wanted_endpoints(const Store& store) {
    std::vector<Endpoint> endpoints;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        Statement rows = database.prepare(
            TURNPIKE_ENDPOINT_COLUMNS
            "WHERE deleted_at_us IS NULL OR EXISTS (SELECT 1 FROM replicas r WHERE r.endpoint = "
            "endpoints.id AND r.forgotten_at_us IS NULL) ORDER BY created_at_us, id");
        auto found = read_rows(rows);
        RETURN_IF_ERROR(found);
        endpoints = std::move(*found);
        return {};
    }));
    return endpoints;
}

Result<std::vector<Endpoint>> list_endpoints(const Store& store,
                                             const std::optional<OrgId>& owner) {
    std::vector<Endpoint> endpoints;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        Statement rows = database.prepare(
            TURNPIKE_ENDPOINT_COLUMNS
            "WHERE deleted_at_us IS NULL AND (?1 = '' OR owner = ?1) ORDER BY created_at_us, id");
        rows.bind(owner ? owner->value() : std::string());
        auto found = read_rows(rows);
        RETURN_IF_ERROR(found);
        endpoints = std::move(*found);
        return {};
    }));
    return endpoints;
}

Result<Endpoint> find_endpoint(const Store& store,
                               const EndpointId& id,
                               const std::optional<OrgId>& owner) {
    Endpoint endpoint;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        auto found = find_live(database, id);
        RETURN_IF_ERROR(found);
        endpoint = std::move(*found);
        return {};
    }));
    if (owner && endpoint.owner != *owner) {
        return Error{ErrorCode::kNotFound, "no endpoint '" + id.value() + "'", {}};
    }
    return endpoint;
}

Result<Endpoint> update_endpoint(Store& store,
                                 const EndpointId& id,
                                 const EndpointChange& change,
                                 const std::string& actor,
                                 WallTime now) {
    Endpoint endpoint;
    RETURN_IF_ERROR(store.write([&](Database& database) -> Status {
        auto found = find_live(database, id);
        RETURN_IF_ERROR(found);
        endpoint = std::move(*found);
        const int before = num_wanted_at_most(endpoint);
        if (!apply_change(endpoint, change)) return {};
        if (num_wanted_at_most(endpoint) > before)
            RETURN_IF_ERROR(check_quota(database, endpoint, change.quota));
        // It has a whole time without requests before it is stopped again.
        if (change.desired == DesiredState::kStarted) endpoint.last_active_at = now;
        ++endpoint.generation;
        RETURN_IF_ERROR(save(database, endpoint));
        RETURN_IF_ERROR(write_activity(database, id, endpoint.last_active_at));
        RETURN_IF_ERROR(publish_endpoint(database, id));
        return write_operation(database, endpoint, "update", actor, now);
    }));
    return endpoint;
}

Result<int> note_model_run(Store& store,
                           const std::string& model,
                           const std::string& digest,
                           const std::string& actor,
                           WallTime now) {
    int num_rolled = 0;
    RETURN_IF_ERROR(store.write([&](Database& database) -> Status {
        num_rolled = 0;
        const auto before = find_model_run(database, model);
        RETURN_IF_ERROR(before);
        if (*before == digest) return {};
        RETURN_IF_ERROR(write_model_run(database, model, digest, now));
        if (!*before) return {};
        auto endpoints = find_live_of_model(database, model);
        RETURN_IF_ERROR(endpoints);
        for (Endpoint& endpoint : *endpoints) {
            ++endpoint.generation;
            ++endpoint.rollout;
            RETURN_IF_ERROR(save(database, endpoint));
            RETURN_IF_ERROR(write_operation(database, endpoint, "update", actor, now));
            ++num_rolled;
        }
        return {};
    }));
    return num_rolled;
}

Status set_target_replicas(Store& store, const EndpointId& id, int num_replicas) {
    return store.write([&](Database& database) -> Status {
        RETURN_IF_ERROR(database.prepare("UPDATE endpoints SET target_replicas = ? WHERE id = ?")
                            .bind(std::int64_t{num_replicas})
                            .bind(id.value())
                            .run());
        if (database.num_changed() > 0) return {};
        return Error{ErrorCode::kNotFound, "no endpoint '" + id.value() + "'", {}};
    });
}

Status set_unpaid_since(Store& store, const EndpointId& id, std::optional<WallTime> since) {
    return store.write([&](Database& database) -> Status {
        Statement update =
            database.prepare("UPDATE endpoints SET unpaid_since_us = ? WHERE id = ?");
        if (since) {
            update.bind(*since);
        } else {
            update.bind_null();
        }
        return update.bind(id.value()).run();
    });
}

Status note_activity(Store& store, const EndpointId& id, WallTime at) {
    return store.write([&](Database& database) { return write_activity(database, id, at); });
}

Status delete_endpoint(Store& store, const EndpointId& id, const std::string& actor, WallTime now) {
    return store.write([&](Database& database) -> Status {
        auto found = find_live(database, id);
        RETURN_IF_ERROR(found);
        Endpoint& endpoint = *found;
        endpoint.desired = DesiredState::kStopped;
        ++endpoint.generation;
        RETURN_IF_ERROR(save(database, endpoint));
        RETURN_IF_ERROR(mark_deleted(database, id, now));
        RETURN_IF_ERROR(write_operation(database, endpoint, "delete", actor, now));
        RETURN_IF_ERROR(erase_model_names_of(database, id));
        return publish_endpoint(database, id);
    });
}

Status set_endpoint_state(Store& store,
                          const EndpointId& id,
                          EndpointState state,
                          const std::string& reason,
                          WallTime now) {
    const bool is_settled = state == EndpointState::kStarted || state == EndpointState::kStopped ||
                            state == EndpointState::kError;
    return store.write([&](Database& database) -> Status {
        RETURN_IF_ERROR(write_state(database, id, state, reason));
        if (database.num_changed() == 0) {
            return Error{ErrorCode::kNotFound, "no endpoint '" + id.value() + "'", {}};
        }
        return is_settled ? finish_operations(database, id, now) : Status();
    });
}

Result<std::vector<Operation>> list_operations(const Store& store, const EndpointId& endpoint) {
    std::vector<Operation> operations;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        Statement rows = database.prepare(
            "SELECT id, endpoint, kind, generation, actor, created_at_us, finished_at_us FROM "
            "operations WHERE endpoint = ? ORDER BY id DESC");
        rows.bind(endpoint.value());
        while (rows.step()) {
            operations.push_back({rows.integer(0), EndpointId(rows.text(1)), rows.text(2),
                                  rows.integer(3), rows.text(4), rows.time(5),
                                  rows.optional_time(6)});
        }
        return rows.status();
    }));
    return operations;
}

}  // namespace turnpike::controlplane
