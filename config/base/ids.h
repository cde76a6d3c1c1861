// Identifiers. Each is its own type, so that an organisation cannot be passed where a key belongs.
#pragma once

#include <cstdint>
#include <string>

#include "config/base/strong_type.h"

namespace turnpike {

using OrgId = StrongType<struct OrgIdTag, std::string>;  // "org_" + 26 base32
using KeyId = StrongType<struct KeyIdTag, std::string>;  // "key_" + 26 base32; not the secret
using EndpointId = StrongType<struct EndpointIdTag, std::string>;  // "endpoint-<uuid4>"
using ReplicaId =
    StrongType<struct ReplicaIdTag, std::string>;  // "<endpoint slug>-<generation>-<index>"
using RequestId =
    StrongType<struct RequestIdTag, std::string>;  // ULID: 26 Crockford base32, time first
using PriceVersionId = StrongType<struct PriceVersionIdTag, std::int64_t>;
using Epoch = StrongType<struct EpochTag, std::int64_t>;  // grows with every start of a replica
using TokenId = std::int32_t;                             // index into the vocabulary

}  // namespace turnpike
