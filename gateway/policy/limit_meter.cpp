#include "gateway/policy/limit_meter.h"

#include <algorithm>

namespace turnpike::gateway {

using controlplane::Limits;

namespace {

constexpr std::int64_t kMillion = 1'000'000;
// Nobody knows when a request in flight ends; a client that asks once a second is soon served.
constexpr Nanos kSlotRetry = 1'000'000'000;

std::optional<std::int64_t> part_of(std::optional<std::int64_t> limit, std::int64_t ppm) {
    if (!limit) return limit;
    return std::max<std::int64_t>(1, *limit * ppm / kMillion);
}

void note(std::optional<LimitRefusal>& worst, const LimitRefusal& refusal) {
    if (refusal.retry_after == 0) return;
    if (!worst || refusal.retry_after > worst->retry_after) worst = refusal;
}

void note(std::optional<LimitView>& least, const LimitView& view) {
    if (!least || view.remaining < least->remaining) least = view;
}

}  // namespace

Limits share_of(const Limits& limits, std::int64_t parts_per_million) {
    Limits share = limits;
    share.requests_per_minute = part_of(limits.requests_per_minute, parts_per_million);
    share.tokens_per_minute = part_of(limits.tokens_per_minute, parts_per_million);
    share.concurrent_requests = part_of(limits.concurrent_requests, parts_per_million);
    return share;
}

void charge_gain(LimitMeter& meter, const Limits& limits, const LimitsShare& share, Nanos now) {
    const std::int64_t gained = std::min(share.gained_ppm - meter.gained_ppm, share.ppm);
    meter.gained_ppm = share.gained_ppm;
    if (gained <= 0) return;
    const Limits used = share_of(limits, gained);
    const Limits part = share_of(limits, share.ppm);
    if (used.requests_per_minute)
        meter.requests.take_late(*part.requests_per_minute, *used.requests_per_minute,
                                 share.gained_at, now);
    if (used.tokens_per_minute)
        meter.tokens.take_late(*part.tokens_per_minute, *used.tokens_per_minute, share.gained_at,
                               now);
}

std::int64_t estimate_tokens(std::size_t num_body_bytes) {
    constexpr std::size_t kBytesPerToken = 3;
    return static_cast<std::int64_t>((num_body_bytes + kBytesPerToken - 1) / kBytesPerToken);
}

std::optional<LimitRefusal> check_limits(std::span<const LimitScope> scopes,
                                         std::int64_t num_tokens,
                                         Nanos now) {
    std::optional<LimitRefusal> worst;
    for (const LimitScope& scope : scopes) {
        const Limits& limits = scope.limits;
        LimitMeter& meter = *scope.meter;
        if (limits.requests_per_minute) {
            const std::int64_t limit = *limits.requests_per_minute;
            note(worst,
                 {LimitKind::kRequests, scope.name, limit, meter.requests.wait_for(limit, 1, now)});
        }
        if (limits.tokens_per_minute) {
            const std::int64_t limit = *limits.tokens_per_minute;
            note(worst, {LimitKind::kTokens, scope.name, limit,
                         meter.tokens.wait_for(limit, num_tokens, now)});
        }
        if (limits.concurrent_requests && meter.slots.count(now) >= *limits.concurrent_requests) {
            note(worst, {LimitKind::kConcurrency, scope.name, *limits.concurrent_requests,
                         std::min(kSlotRetry, meter.slots.next_expiry(now))});
        }
    }
    return worst;
}

void charge(std::span<const LimitScope> scopes, const LimitCharge& charge) {
    for (const LimitScope& scope : scopes) {
        const Limits& limits = scope.limits;
        if (limits.requests_per_minute)
            scope.meter->requests.take(*limits.requests_per_minute, 1, charge.at);
        if (limits.tokens_per_minute)
            scope.meter->tokens.take(*limits.tokens_per_minute, charge.num_tokens, charge.at);
        if (limits.concurrent_requests) scope.meter->slots.take(charge.slot_id, charge.at);
    }
}

void correct(std::span<const LimitScope> scopes,
             LimitCharge& charge,
             std::int64_t num_tokens,
             Nanos now) {
    const std::int64_t more = num_tokens - charge.num_tokens;
    charge.num_tokens = num_tokens;
    for (const LimitScope& scope : scopes) {
        if (scope.limits.concurrent_requests) scope.meter->slots.renew(charge.slot_id, now);
        if (!scope.limits.tokens_per_minute) continue;
        const std::int64_t limit = *scope.limits.tokens_per_minute;
        if (more > 0) scope.meter->tokens.take(limit, more, now);
        if (more < 0) scope.meter->tokens.give_back(limit, -more, charge.at, now);
    }
}

void settle(std::span<const LimitScope> scopes,
            LimitCharge& charge,
            std::int64_t num_tokens,
            bool is_refused,
            Nanos now) {
    correct(scopes, charge, num_tokens, now);
    for (const LimitScope& scope : scopes) {
        scope.meter->slots.release(charge.slot_id);
        if (is_refused && scope.limits.requests_per_minute) {
            scope.meter->requests.give_back(*scope.limits.requests_per_minute, 1, charge.at, now);
        }
    }
}

LimitViews view_limits(std::span<const LimitScope> scopes, Nanos now) {
    LimitViews views;
    for (const LimitScope& scope : scopes) {
        if (const auto limit = scope.limits.requests_per_minute) {
            const Gcra& meter = scope.meter->requests;
            note(views.requests,
                 {*limit, meter.remaining(*limit, now), meter.reset_after(*limit, now)});
        }
        if (const auto limit = scope.limits.tokens_per_minute) {
            const Gcra& meter = scope.meter->tokens;
            note(views.tokens,
                 {*limit, meter.remaining(*limit, now), meter.reset_after(*limit, now)});
        }
    }
    return views;
}

}  // namespace turnpike::gateway
