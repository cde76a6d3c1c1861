// Snapshot: what a gateway must know to admit and route a request. Rows are published in the same
// transaction as the change that caused them and carry its revision; a delta is the rows beyond a
// revision. GET /internal/v1/snapshot?store=ID&after=REV (long poll): see
// ops/docs/formats/snapshot.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "controlplane/api/limits.h"

namespace turnpike::controlplane {

struct OrganisationRow {
    OrgId id;
    std::string name;
    std::string cache_salt;  // 32 hex; keeps one organisation's prefix cache from another's
};

struct KeyRow {
    KeyId id;
    OrgId org;
    std::string mac_hex;  // HMAC-SHA-256(pepper, key)
    int pepper_version = 1;
    std::string redacted;
    std::optional<WallTime> expires_at;
};

// A price version and when it comes into force.
struct DatedPrice {
    WallTime from;
    Price price;
};

// A name that clients may put into `model`.
struct ModelRow {
    std::string name;
    EndpointId endpoint;         // which pool serves it
    std::optional<OrgId> owner;  // set: only this organisation may see and use it
    std::string served_model;    // what the answer's `model` says
    std::string display_name;
    std::string organization;  // who made the model
    std::int64_t context_length = 0;
    WallTime created_at;
    Price price;                       // of this name, when the row was published
    std::vector<DatedPrice> upcoming;  // by time; each replaces the one before
};

// The version in force: what a request that is admitted now costs. It lives as long as `model`.
const Price& price_at(const ModelRow& model, WallTime now);

struct ReplicaRow {
    ReplicaId id;
    std::string address;
    Epoch epoch;
};

// A pool and its READY replicas.
struct EndpointRow {
    EndpointId id;
    std::vector<ReplicaRow> replicas;
    bool wakes = false;  // a request that waits gets it a replica
};

template <class Row>
struct Change {
    std::string id;
    std::optional<Row> row;  // empty: deleted (a revoked key, a stopped endpoint)
};

struct Snapshot {
    std::string store_id;
    std::int64_t revision = 0;
    bool is_full = false;  // replace everything, instead of applying the changes
    std::vector<Change<OrganisationRow>> organisations;
    std::vector<Change<KeyRow>> keys;
    std::vector<Change<ModelRow>> models;  // id = name
    std::vector<Change<EndpointRow>> endpoints;
    std::vector<Change<LimitsRow>> limits;  // id = subject
};

std::string write_snapshot(const Snapshot& snapshot);
Result<Snapshot> parse_snapshot(std::string_view json);

// The body of one published row, as the store keeps it.
std::string write_row(const OrganisationRow& row);
std::string write_row(const KeyRow& row);
std::string write_row(const ModelRow& row);
std::string write_row(const EndpointRow& row);
std::string write_row(const LimitsRow& row);

// Kinds of published rows: the names of a snapshot's arrays.
inline constexpr std::string_view kOrganisationKind = "organisations";
inline constexpr std::string_view kKeyKind = "keys";
inline constexpr std::string_view kModelKind = "models";
inline constexpr std::string_view kEndpointKind = "endpoints";
inline constexpr std::string_view kLimitsKind = "limits";

// One row as the store keeps it.
struct PublishedRow {
    std::string kind;
    std::string id;
    std::optional<std::string> body;  // from write_row(); empty: deleted
};

// The same text as write_snapshot(), from bodies that are not parsed again.
std::string write_published(std::string_view store_id,
                            std::int64_t revision,
                            bool is_full,
                            std::span<const PublishedRow> rows);

}  // namespace turnpike::controlplane
