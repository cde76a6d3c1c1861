// Random identifiers and API keys.
#pragma once

#include <string>
#include <string_view>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/result.h"
#include "config/base/secret.h"

namespace turnpike::crypto {

// ULID: 48 bits of milliseconds, 80 random bits, 26 characters of Crockford base32 in upper case.
RequestId new_request_id(WallTime now);

// The time in a ULID; kInvalidArgument when it is none.
Result<WallTime> time_of(const RequestId& id);

// prefix + 26 random Crockford base32 characters in lower case: "org_01h...".
std::string new_id(std::string_view prefix);

// RFC 9562 version 4, lower case.
std::string new_uuid4();

// "tp_live_" + 30 random base62 characters + 6 base62 characters of CRC-32 (of everything before
// them), so that a scanner or a typo is refused without a look-up.
Secret new_api_key();
bool is_well_formed_api_key(std::string_view key);

// What may be shown of a key: "tp_live_Ab…wxyz" (prefix, two, last four).
std::string redact_api_key(std::string_view key);

}  // namespace turnpike::crypto
