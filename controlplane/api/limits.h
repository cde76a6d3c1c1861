// Limits: what an operator allows a key, an organisation, or each organisation on one model name.
// Published to gateways as rows of kind "limits"; see ops/docs/formats/snapshot.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"

namespace turnpike::controlplane {

// Far more than anybody serves, and a million times it fits 64 bits.
inline constexpr std::int64_t kMaxPerMinute = 1'000'000'000'000;

// An empty field is not limited here.
struct Limits {
    std::optional<std::int64_t> requests_per_minute;  // 1 to kMaxPerMinute
    std::optional<std::int64_t> tokens_per_minute;    // 1 to kMaxPerMinute
    std::optional<std::int64_t> concurrent_requests;  // 1 to kMaxPerMinute
    std::optional<NanoUsd> monthly_spend;             // per calendar month in UTC; not negative

    friend bool operator==(const Limits&, const Limits&) = default;
};

struct LimitsRow {
    std::string subject;  // from limits_subject()
    Limits limits;
};

// "organisation:<id>", "key:<id>", "model:<name>": the last is per organisation that uses the name.
std::string limits_subject(const OrgId& org);
std::string limits_subject(const KeyId& key);
std::string model_limits_subject(std::string_view model);

// The members of a JSON object, null where there is no limit. kInvalidArgument names the member.
std::string write_limits(const Limits& limits);
Result<Limits> parse_limits(std::string_view json);
// `limits` with the members that the object has; null takes one away.
Result<Limits> merge_limits(const Limits& limits, std::string_view json);

}  // namespace turnpike::controlplane
