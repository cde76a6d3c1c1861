// Leases: slices of credit, of keys' monthly allowances and of rate limits, granted to gateways.
// POST /internal/v1/leases; see ops/docs/formats/leases.md. All sums are cumulative within one run
// of the gateway (its epoch), so that a repeated request or a lost answer changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"

namespace turnpike::controlplane {

// One subject per organisation or key that a gateway has seen of late.
inline constexpr std::size_t kMaxLeaseAsks = 4096;

// Of every rate limit, in parts per million.
inline constexpr std::int64_t kWholeShare = 1'000'000;

struct LeaseAsk {
    std::string subject;  // limits_subject() of an organisation or a key
    NanoUsd settled;      // of what was granted: spent, and its usage acknowledged
    NanoUsd returned;     // of what was granted: given back unspent
    NanoUsd wanted;       // the grant that it asks for, all together
};

struct LeaseRequest {
    std::string gateway;  // the outbox id, which survives restarts
    Epoch epoch{0};       // 0: a run that has none yet
    // Everything that earlier runs of this gateway recorded has been acknowledged.
    bool has_delivered_earlier_runs = false;
    bool is_leaving = false;  // gives its share of the limits back
    // The share of the limits that it goes by now. What it was told last may never have reached it.
    std::int64_t share_ppm = 0;
    std::vector<LeaseAsk> asks;
};

struct LeaseGrant {
    std::string subject;
    NanoUsd granted;        // in this epoch, all together
    bool is_short = false;  // less than wanted was there
};

struct LeaseAnswer {
    Epoch epoch{0};
    std::int64_t lifetime_ms = 0;  // from when the request was sent
    std::int64_t share_ppm = 0;    // of every rate limit, in parts per million
    std::vector<LeaseGrant> grants;
};

// kInvalidArgument names what is missing, negative or too much.
std::string write_lease_request(const LeaseRequest& request);
Result<LeaseRequest> parse_lease_request(std::string_view json);
std::string write_lease_answer(const LeaseAnswer& answer);
Result<LeaseAnswer> parse_lease_answer(std::string_view json);

}  // namespace turnpike::controlplane
