#include "gateway/policy/account.h"

#include <utility>

namespace turnpike::gateway {

using controlplane::Limits;

namespace {

void add_scope(std::vector<LimitScope>& scopes,
               LimitMeter& meter,
               const Limits& limits,
               const LimitsShare& share,
               std::string_view name,
               Nanos now) {
    charge_gain(meter, limits, share, now);
    scopes.push_back({&meter, share_of(limits, share.ppm), name});
}

}  // namespace

std::vector<LimitScope> Account::scopes_of(const LimitRequest& request, Nanos now) {
    std::vector<LimitScope> scopes;
    scopes.reserve(3);
    add_scope(scopes, organisation_, request.organisation_limits, request.share, "organisation",
              now);
    const Limits none;
    if (request.key_limits != none)
        add_scope(scopes, keys_[request.key], request.key_limits, request.share, "key", now);
    if (request.model_limits != none)
        add_scope(scopes, models_[request.model], request.model_limits, request.share, "model",
                  now);
    return scopes;
}

LimitViews Account::view(const LimitRequest& request, Nanos now) {
    const std::lock_guard lock(mutex_);
    return view_limits(scopes_of(request, now), now);
}

LimitDecision Account::admit(const LimitRequest& request, Nanos now) {
    const std::lock_guard lock(mutex_);
    LimitTicket ticket;
    ticket.scopes = scopes_of(request, now);
    LimitDecision decision;
    decision.refusal = check_limits(ticket.scopes, request.num_tokens, now);
    if (!decision.refusal) {
        ticket.charge = {next_slot_id_++, request.num_tokens, now};
        charge(ticket.scopes, ticket.charge);
        in_flight_.take(ticket.charge.slot_id, now);
    }
    decision.views = view_limits(ticket.scopes, now);
    if (!decision.refusal) decision.ticket = std::move(ticket);
    return decision;
}

void Account::correct(LimitTicket& ticket, std::int64_t num_tokens, Nanos now) {
    const std::lock_guard lock(mutex_);
    gateway::correct(ticket.scopes, ticket.charge, num_tokens, now);
    in_flight_.renew(ticket.charge.slot_id, now);
}

void Account::settle(LimitTicket& ticket, std::int64_t num_tokens, bool is_refused, Nanos now) {
    const std::lock_guard lock(mutex_);
    gateway::settle(ticket.scopes, ticket.charge, num_tokens, is_refused, now);
    in_flight_.release(ticket.charge.slot_id);
}

std::int64_t Account::num_in_flight(Nanos now) {
    const std::lock_guard lock(mutex_);
    return in_flight_.count(now);
}

std::int64_t Account::num_slots(Nanos now) {
    const std::lock_guard lock(mutex_);
    std::int64_t total = in_flight_.count(now) + organisation_.slots.count(now);
    for (auto& [key, meter] : keys_) total += meter.slots.count(now);
    for (auto& [model, meter] : models_) total += meter.slots.count(now);
    return total;
}

Account& AccountTable::find(const OrgId& org) {
    const std::lock_guard lock(mutex_);
    auto& account = accounts_[org.value()];
    if (account == nullptr) account = std::make_unique<Account>();
    return *account;
}

std::int64_t AccountTable::num_slots(Nanos now) {
    const std::lock_guard lock(mutex_);
    std::int64_t total = 0;
    for (const auto& [org, account] : accounts_) total += account->num_slots(now);
    return total;
}

Account& AccountReader::find(const OrgId& org) {
    Account*& account = known_[org.value()];
    if (account == nullptr) account = &table_.find(org);
    return *account;
}

}  // namespace turnpike::gateway
