// Minutes of dedicated replicas: each minute in which a replica was READY costs the price of its
// endpoint's name, once for each place (index) of the endpoint. Booked as ledger transaction
// "minutes:<replica>:<minute since 1970>" from the owner's account to revenue; see
// ops/docs/formats/ledger.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "controlplane/store/sqlite.h"

namespace turnpike::controlplane {

class Store;

// The minute of a moment, since 1970.
std::int64_t minute_of(WallTime time);

// A replica that is READY.
struct ReadyReplica {
    ReplicaId replica;
    EndpointId endpoint;
    std::string name;  // of the endpoint
    OrgId org;
    int index = 0;
};

// The minute of `now` of each: what is booked already stays. Returns how many were new.
Result<int> book_minutes(Store& store, std::span<const ReadyReplica> ready, WallTime now);

// What one endpoint cost under one price version.
struct MinuteGroup {
    std::string name;
    std::int64_t price_version = 0;
    std::int64_t num_minutes = 0;
    NanoUsd cost_nano_usd;
};

// In [begin, end), by name and version.
Result<std::vector<MinuteGroup>> group_minutes(const Store& store,
                                               const OrgId& org,
                                               WallTime begin,
                                               WallTime end);

// What a minute of a replica of this name costs now.
Result<NanoUsd> price_of_minute(const Store& store, const std::string& name, WallTime now);

// Inside a view of control.db.

// All minutes by organisation: what they cost.
Result<std::map<std::string, NanoUsd>> sum_minutes(Database& control);
// The first minute and ledger transaction that do not belong together, in words; empty: all do.
Result<std::optional<std::string>> find_minute_misfit(Database& control);

}  // namespace turnpike::controlplane
