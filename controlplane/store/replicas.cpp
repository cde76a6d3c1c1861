// Replicas and steps in control.db.
#include "controlplane/store/replicas.h"

#include <utility>

#include "controlplane/store/publish.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

#define TURNPIKE_REPLICA_COLUMNS                                                      \
    "SELECT id, endpoint, replica_index, generation, epoch, state, address, reason, " \
    "num_failures, state_since_us FROM replicas "

Result<Replica> read_row(const Statement& row) {
    Replica replica;
    replica.id = ReplicaId(row.text(0));
    replica.endpoint = EndpointId(row.text(1));
    replica.index = row.small(2);
    replica.generation = row.integer(3);
    replica.epoch = Epoch(row.integer(4));
    const auto state = parse_replica_state(row.text(5));
    RETURN_IF_ERROR(state);
    replica.state = *state;
    replica.address = row.text(6);
    replica.reason = row.text(7);
    replica.num_failures = row.small(8);
    replica.state_since = row.time(9);
    return replica;
}

Result<std::vector<Replica>> read_rows(Statement& rows) {
    std::vector<Replica> replicas;
    while (rows.step()) {
        auto replica = read_row(rows);
        RETURN_IF_ERROR(replica);
        replicas.push_back(std::move(*replica));
    }
    RETURN_IF_ERROR(rows.status());
    return replicas;
}

Result<Replica> find_replica(Database& database, const ReplicaId& id) {
    Statement row =
        database.prepare(TURNPIKE_REPLICA_COLUMNS "WHERE id = ? AND forgotten_at_us IS NULL");
    row.bind(id.value());
    auto replicas = read_rows(row);
    RETURN_IF_ERROR(replicas);
    if (replicas->empty()) {
        return Error{ErrorCode::kNotFound, "no replica '" + id.value() + "'", {}};
    }
    return std::move(replicas->front());
}

Status check_endpoint(Database& database, const EndpointId& endpoint) {
    Statement row = database.prepare("SELECT 1 FROM endpoints WHERE id = ?");
    const bool exists = row.bind(endpoint.value()).step();
    RETURN_IF_ERROR(row.status());
    if (!exists) return Error{ErrorCode::kNotFound, "no endpoint '" + endpoint.value() + "'", {}};
    return {};
}

// A row that was forgotten starts without failures, but never again with an old epoch.
Status upsert_started(Database& database, const ReplicaStart& start, WallTime now) {
    return database
        .prepare(
            "INSERT INTO replicas (id, endpoint, replica_index, generation, epoch, state, "
            "address, reason, num_failures, state_since_us) VALUES (?, ?, ?, ?, 1, ?, ?, '', "
            "0, ?) ON CONFLICT (id) DO UPDATE SET replica_index = excluded.replica_index, "
            "generation = excluded.generation, epoch = epoch + 1, state = excluded.state, "
            "address = excluded.address, reason = '', num_failures = CASE WHEN "
            "forgotten_at_us IS NULL THEN num_failures ELSE 0 END, state_since_us = "
            "excluded.state_since_us, forgotten_at_us = NULL")
        .bind(start.id.value())
        .bind(start.endpoint.value())
        .bind(std::int64_t{start.index})
        .bind(start.generation)
        .bind(to_string(ReplicaState::kPending))
        .bind(start.address)
        .bind(now)
        .run();
}

Status save(Database& database, const Replica& replica) {
    return database
        .prepare(
            "UPDATE replicas SET state = ?, reason = ?, num_failures = ?, state_since_us = ?, "
            "address = ? WHERE id = ?")
        .bind(to_string(replica.state))
        .bind(replica.reason)
        .bind(std::int64_t{replica.num_failures})
        .bind(replica.state_since)
        .bind(replica.address)
        .bind(replica.id.value())
        .run();
}

Status mark_forgotten(Database& database, const ReplicaId& id, WallTime now) {
    return database
        .prepare(
            "UPDATE replicas SET forgotten_at_us = ?, state = ?, state_since_us = ?1 WHERE id "
            "= ?")
        .bind(now)
        .bind(to_string(ReplicaState::kStopped))
        .bind(id.value())
        .run();
}

}  // namespace

Result<std::vector<Replica>> list_replicas(const Store& store,
                                           const std::optional<EndpointId>& endpoint) {
    std::vector<Replica> replicas;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        Statement rows = database.prepare(
            TURNPIKE_REPLICA_COLUMNS
            "WHERE forgotten_at_us IS NULL AND (?1 = '' OR endpoint = ?1) ORDER BY id");
        rows.bind(endpoint ? endpoint->value() : std::string());
        auto found = read_rows(rows);
        RETURN_IF_ERROR(found);
        replicas = std::move(*found);
        return {};
    }));
    return replicas;
}

Result<Replica> begin_replica_start(Store& store, const ReplicaStart& start, WallTime now) {
    Replica started;
    RETURN_IF_ERROR(store.write([&](Database& database) -> Status {
        RETURN_IF_ERROR(check_endpoint(database, start.endpoint));
        RETURN_IF_ERROR(upsert_started(database, start, now));
        auto replica = find_replica(database, start.id);
        RETURN_IF_ERROR(replica);
        started = std::move(*replica);
        return publish_endpoint(database, start.endpoint);
    }));
    return started;
}

Status set_replica_state(Store& store, const ReplicaChange& change, WallTime now) {
    return store.write([&](Database& database) -> Status {
        auto found = find_replica(database, change.id);
        RETURN_IF_ERROR(found);
        Replica& replica = *found;
        if (replica.epoch != change.epoch) {
            return Error{ErrorCode::kConflict,
                         "replica '" + change.id.value() + "' has epoch " +
                             std::to_string(replica.epoch.value()) + ", not " +
                             std::to_string(change.epoch.value()),
                         {}};
        }
        if (replica.state != change.state) replica.state_since = now;
        replica.state = change.state;
        replica.reason = change.reason;
        if (!change.address.empty()) replica.address = change.address;
        replica.num_failures = change.num_failures.value_or(replica.num_failures);
        RETURN_IF_ERROR(save(database, replica));
        return publish_endpoint(database, replica.endpoint);
    });
}

Status forget_replica(Store& store, const ReplicaId& id, WallTime now) {
    return store.write([&](Database& database) -> Status {
        const auto replica = find_replica(database, id);
        if (!replica && replica.error().code == ErrorCode::kNotFound) return {};
        RETURN_IF_ERROR(replica);
        RETURN_IF_ERROR(mark_forgotten(database, id, now));
        return publish_endpoint(database, replica->endpoint);
    });
}

Result<std::int64_t> begin_step(Store& store, const Step& step, WallTime now) {
    std::int64_t id = 0;
    RETURN_IF_ERROR(store.write_quietly([&](Database& database) -> Status {
        RETURN_IF_ERROR(database
                            .prepare("INSERT INTO operation_steps (endpoint, replica, action, "
                                     "started_at_us, outcome) VALUES (?, ?, ?, ?, '')")
                            .bind(step.endpoint.value())
                            .bind(step.replica)
                            .bind(step.action)
                            .bind(now)
                            .run());
        id = database.last_row_id();
        return {};
    }));
    return id;
}

Status finish_step(Store& store, std::int64_t id, const std::string& outcome, WallTime now) {
    return store.write_quietly([&](Database& database) -> Status {
        RETURN_IF_ERROR(database
                            .prepare("UPDATE operation_steps SET finished_at_us = ?, outcome = ? "
                                     "WHERE id = ? AND finished_at_us IS NULL")
                            .bind(now)
                            .bind(outcome)
                            .bind(id)
                            .run());
        if (database.num_changed() == 1) return {};
        return Error{ErrorCode::kNotFound, "no open step " + std::to_string(id), {}};
    });
}

Result<std::vector<Step>> list_open_steps(const Store& store) {
    std::vector<Step> steps;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        Statement rows = database.prepare(
            "SELECT id, endpoint, replica, action, started_at_us, outcome FROM operation_steps "
            "WHERE finished_at_us IS NULL ORDER BY id");
        while (rows.step()) {
            steps.push_back({rows.integer(0), EndpointId(rows.text(1)), rows.text(2), rows.text(3),
                             rows.time(4), std::nullopt, rows.text(5)});
        }
        return rows.status();
    }));
    return steps;
}

}  // namespace turnpike::controlplane
