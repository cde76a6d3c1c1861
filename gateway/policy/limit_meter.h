// LimitMeter: what one subject (a key, an organisation, an organisation on a model) has used of its
// limits, and the rule for a request that stands under several: all are checked, then all are
// charged, so a refused request consumes nothing. Pure; the time is an argument. Not thread-safe.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "controlplane/api/limits.h"
#include "gateway/policy/gcra.h"
#include "gateway/policy/slot_leases.h"

namespace turnpike::gateway {

// This gateway's part of every limit, when several share them. What it gained was another gateway's
// burst before, which may have been used: it counts as used at that time.
struct LimitsShare {
    std::int64_t ppm = 1'000'000;  // parts per million
    std::int64_t gained_ppm = 0;   // all that was ever gained in this run
    Nanos gained_at = 0;           // the last time

    friend bool operator==(const LimitsShare&, const LimitsShare&) = default;
};

struct LimitMeter {
    Gcra requests;
    Gcra tokens;
    SlotLeases slots;
    std::int64_t gained_ppm = 0;  // of the share, as far as it is charged here
};

// One subject that a request stands under.
struct LimitScope {
    LimitMeter* meter = nullptr;
    controlplane::Limits limits;  // this gateway's share of them
    std::string_view name;        // "key", "organisation" or "model"; of static lifetime
};

enum class LimitKind { kRequests, kTokens, kConcurrency };

struct LimitRefusal {
    LimitKind kind = LimitKind::kRequests;
    std::string_view scope;
    std::int64_t limit = 0;
    Nanos retry_after = 0;  // after it, the same request fits if nothing else comes
};

// What a request was charged.
struct LimitCharge {
    std::uint64_t slot_id = 0;
    std::int64_t num_tokens = 0;
    Nanos at = 0;
};

// A gateway's part of limits that several share; at least 1, so that nobody is shut out.
controlplane::Limits share_of(const controlplane::Limits& limits, std::int64_t parts_per_million);
// Charges a meter under `limits` (the whole ones) for what was gained since it was used last.
void charge_gain(LimitMeter& meter,
                 const controlplane::Limits& limits,
                 const LimitsShare& share,
                 Nanos now);

// The tokens of a request whose prompt has not been counted: three bytes of body for each.
std::int64_t estimate_tokens(std::size_t num_body_bytes);

// Changes nothing but expired slots. The refusal with the longest wait, so that waiting it out is
// enough.
std::optional<LimitRefusal> check_limits(std::span<const LimitScope> scopes,
                                         std::int64_t num_tokens,
                                         Nanos now);
void charge(std::span<const LimitScope> scopes, const LimitCharge& charge);
// Moves the charge to what is known now: more is taken, less is given back.
void correct(std::span<const LimitScope> scopes,
             LimitCharge& charge,
             std::int64_t num_tokens,
             Nanos now);
// The end: tokens as they truly were, the slot is free. `is_refused`: the request counts as none.
void settle(std::span<const LimitScope> scopes,
            LimitCharge& charge,
            std::int64_t num_tokens,
            bool is_refused,
            Nanos now);

// What the headers tell, of the scope with the least left.
struct LimitView {
    std::int64_t limit = 0;
    std::int64_t remaining = 0;
    Nanos reset_after = 0;
};

struct LimitViews {
    std::optional<LimitView> requests;
    std::optional<LimitView> tokens;
};

LimitViews view_limits(std::span<const LimitScope> scopes, Nanos now);

}  // namespace turnpike::gateway
