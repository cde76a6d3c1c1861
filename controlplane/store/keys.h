// API keys: only their HMACs are kept, unique, under a versioned pepper.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/result.h"
#include "config/base/secret.h"
#include "config/crypto/pepper.h"

namespace turnpike::controlplane {

class Store;

struct ApiKey {
    KeyId id;
    OrgId org;
    std::string name;
    std::string redacted;
    WallTime created_at;
    std::optional<WallTime> revoked_at;
};

struct NewApiKey {
    ApiKey key;
    Secret secret;  // shown this once, kept nowhere
};

// Published to gateways. kNotFound when there is no such organisation.
Result<NewApiKey> create_key(Store& store,
                             const crypto::Peppers& peppers,
                             const OrgId& org,
                             const std::string& name,
                             WallTime now);

// Of one organisation, or of all; newest first.
Result<std::vector<ApiKey>> list_keys(const Store& store, const std::optional<OrgId>& org);

// Taken from gateways in the same transaction. A second revocation changes nothing. kNotFound.
Result<ApiKey> revoke_key(Store& store, const KeyId& id, WallTime now);

}  // namespace turnpike::controlplane
