// Organisations: who has keys, credit and endpoints. See store.h for threads and errors.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"

namespace turnpike::controlplane {

class Store;

struct Organisation {
    OrgId id;
    std::string name;
    WallTime created_at;
    NanoUsd balance_nano_usd;  // what its prepaid account holds
};

// Published to gateways. kInvalidArgument when the name is empty, long or starts with "org_";
// kConflict when it is taken.
Result<Organisation> create_organisation(Store& store, const std::string& name, WallTime now);

// kNotFound when nobody has this id or name.
Result<Organisation> find_organisation(const Store& store, const std::string& id_or_name);

// By name.
Result<std::vector<Organisation>> list_organisations(const Store& store);

}  // namespace turnpike::controlplane
