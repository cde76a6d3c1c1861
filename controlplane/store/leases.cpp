// Grants, and what they may not pass.
#include "controlplane/store/leases.h"

#include <algorithm>
#include <utility>

#include "config/base/failpoint.h"
#include "controlplane/store/publish.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

constexpr std::string_view kOrganisation = "organisation:";
constexpr std::string_view kKey = "key:";

// One request inside its transaction.
struct Granting {
    Database& database;
    const LeaseRequest& request;
    const LeaseTerms& terms;
    WallTime now;
    Epoch epoch{0};

    WallTime oldest_alive() const { return now - terms.give_up; }
};

std::string month_of_time(WallTime time) {
    return format_rfc3339(time).substr(0, 7);
}

Result<std::int64_t> read_integer(Statement& row) {
    const std::int64_t value = row.step() && !row.is_null(0) ? row.integer(0) : 0;
    RETURN_IF_ERROR(row.status());
    return value;
}

Result<Epoch> next_epoch(const Granting& granting) {
    Statement row = granting.database.prepare("SELECT epoch FROM gateways WHERE id = ?");
    const auto last = read_integer(row.bind(granting.request.gateway));
    RETURN_IF_ERROR(last);
    if (granting.request.epoch == Epoch(0)) return Epoch(*last + 1);
    if (granting.request.epoch == Epoch(*last)) return Epoch(*last);
    return Error{ErrorCode::kConflict,
                 "expected epoch " + std::to_string(*last) + " of this gateway, found " +
                     std::to_string(granting.request.epoch.value()) + ": begin again with epoch 0",
                 "epoch"};
}

// At most an equal part, and at most what the others have left: they have given way once they say
// so themselves, since the answer that told them may be lost.
Result<std::int64_t> share_for(const Granting& granting) {
    if (granting.request.is_leaving) return std::int64_t{0};
    Statement others = granting.database.prepare(
        "SELECT ifnull(sum(wants_share), 0), ifnull(sum(share_ppm), 0) FROM gateways WHERE id <> ? "
        "AND seen_at_us > ?");
    others.bind(granting.request.gateway).bind(granting.oldest_alive());
    const bool has_row = others.step();
    RETURN_IF_ERROR(others.status());
    const std::int64_t num_others = has_row ? others.integer(0) : 0;
    const std::int64_t taken = has_row ? others.integer(1) : 0;
    return std::clamp<std::int64_t>(kWholeShare - taken, 0, kWholeShare / (num_others + 1));
}

Status write_gateway(const Granting& granting, std::int64_t share_ppm) {
    return granting.database
        .prepare(
            "INSERT INTO gateways (id, epoch, seen_at_us, wants_share, share_ppm) VALUES (?, ?, ?, "
            "?, "
            "?) ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, seen_at_us = "
            "excluded.seen_at_us, wants_share = excluded.wants_share, share_ppm = "
            "excluded.share_ppm")
        .bind(granting.request.gateway)
        .bind(granting.epoch.value())
        .bind(granting.now)
        .bind(std::int64_t{granting.request.is_leaving ? 0 : 1})
        .bind(share_ppm)
        .run();
}

Status drop_earlier_runs(const Granting& granting) {
    if (!granting.request.has_delivered_earlier_runs) return {};
    return granting.database.prepare("DELETE FROM leases WHERE gateway = ? AND epoch < ?")
        .bind(granting.request.gateway)
        .bind(granting.epoch.value())
        .run();
}

struct LeaseRow {
    NanoUsd granted;
    NanoUsd settled;
    NanoUsd returned;
};

Result<LeaseRow> read_lease(const Granting& granting, const std::string& subject) {
    Statement row = granting.database.prepare(
        "SELECT granted_nano_usd, settled_nano_usd, returned_nano_usd FROM leases WHERE subject = "
        "? AND gateway = ? AND epoch = ?");
    row.bind(subject).bind(granting.request.gateway).bind(granting.epoch.value());
    LeaseRow lease;
    if (row.step()) lease = {row.money(0), row.money(1), row.money(2)};
    RETURN_IF_ERROR(row.status());
    return lease;
}

Status write_lease(const Granting& granting, const std::string& subject, const LeaseRow& lease) {
    return granting.database
        .prepare(
            "INSERT INTO leases (subject, gateway, epoch, granted_nano_usd, settled_nano_usd, "
            "returned_nano_usd) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (subject, gateway, epoch) DO "
            "UPDATE SET granted_nano_usd = excluded.granted_nano_usd, settled_nano_usd = "
            "excluded.settled_nano_usd, returned_nano_usd = excluded.returned_nano_usd")
        .bind(subject)
        .bind(granting.request.gateway)
        .bind(granting.epoch.value())
        .bind(lease.granted)
        .bind(lease.settled)
        .bind(lease.returned)
        .run();
}

// Granted to anybody who is not given up, and neither settled nor returned.
Result<NanoUsd> read_outstanding(const Granting& granting, const std::string& subject) {
    Statement row = granting.database.prepare(
        "SELECT sum(max(0, l.granted_nano_usd - l.settled_nano_usd - l.returned_nano_usd)) FROM "
        "leases l JOIN gateways g ON g.id = l.gateway WHERE l.subject = ? AND g.seen_at_us > ?");
    const auto sum = read_integer(row.bind(subject).bind(granting.oldest_alive()));
    RETURN_IF_ERROR(sum);
    return NanoUsd(*sum);
}

Status add_settled_month(const Granting& granting, const std::string& subject, NanoUsd amount) {
    if (amount == NanoUsd() || !subject.starts_with(kKey)) return {};
    return granting.database
        .prepare(
            "INSERT INTO settled_months (subject, month, settled_nano_usd) VALUES (?, ?, ?) ON "
            "CONFLICT (subject, month) DO UPDATE SET settled_nano_usd = settled_nano_usd + "
            "excluded.settled_nano_usd")
        .bind(subject)
        .bind(month_of_time(granting.now))
        .bind(amount)
        .run();
}

Result<std::optional<NanoUsd>> read_monthly_limit(Database& database, const std::string& subject) {
    Statement row = database.prepare("SELECT monthly_nano_usd FROM limits WHERE subject = ?");
    std::optional<NanoUsd> limit;
    if (row.bind(subject).step() && !row.is_null(0)) limit = row.money(0);
    RETURN_IF_ERROR(row.status());
    return limit;
}

Result<NanoUsd> read_month_spent(const Granting& granting, const std::string& subject) {
    const std::string month = month_of_time(granting.now);
    Statement row = granting.database.prepare(
        subject.starts_with(kKey)
            ? "SELECT settled_nano_usd FROM settled_months WHERE subject = ? AND month = ?"
            : "SELECT sum(cost_nano_usd) FROM rollups WHERE org = ? AND substr(day, 1, 7) = ?");
    const std::string name =
        subject.starts_with(kKey) ? subject : subject.substr(kOrganisation.size());
    const auto spent = read_integer(row.bind(name).bind(month));
    RETURN_IF_ERROR(spent);
    return NanoUsd(*spent);
}

Result<NanoUsd> read_credit(const Granting& granting, const std::string& subject) {
    Statement row = granting.database.prepare(
        "SELECT balance_nano_usd FROM accounts WHERE kind = 'prepaid' AND org = ?");
    const auto balance = read_integer(row.bind(subject.substr(kOrganisation.size())));
    RETURN_IF_ERROR(balance);
    return NanoUsd(*balance) + granting.terms.overdraft;
}

// What may still be granted of a subject; negative when more is out than is there.
Result<NanoUsd> read_available(const Granting& granting, const std::string& subject) {
    const auto outstanding = read_outstanding(granting, subject);
    RETURN_IF_ERROR(outstanding);
    const auto limit = read_monthly_limit(granting.database, subject);
    RETURN_IF_ERROR(limit);
    std::optional<NanoUsd> available;
    if (*limit) {
        const auto spent = read_month_spent(granting, subject);
        RETURN_IF_ERROR(spent);
        available = **limit - *spent;
    }
    if (subject.starts_with(kOrganisation)) {
        const auto credit = read_credit(granting, subject);
        RETURN_IF_ERROR(credit);
        available = available ? std::min(*available, *credit) : *credit;
    }
    // A key without an allowance is bounded by its organisation alone.
    if (!available) return NanoUsd(INT64_MAX / 4);
    return *available - *outstanding;
}

Status check_subject(const std::string& subject) {
    if (subject.starts_with(kOrganisation) || subject.starts_with(kKey)) return {};
    return invalid_argument(
        "expected 'organisation:<id>' or 'key:<id>', found '" + excerpt(subject) + "'", "subject");
}

// Who leaves uses nothing that it does not know of: a grant whose answer was lost ends here.
Result<LeaseGrant> end_lease(const Granting& granting, const LeaseAsk& ask, LeaseRow lease) {
    const NanoUsd accounted = lease.settled + lease.returned;
    lease.granted = std::min(lease.granted, std::max(ask.wanted, accounted));
    RETURN_IF_ERROR(write_lease(granting, ask.subject, lease));
    return LeaseGrant{ask.subject, lease.granted, false};
}

Result<LeaseGrant> grant_one(const Granting& granting, const LeaseAsk& ask) {
    RETURN_IF_ERROR(check_subject(ask.subject));
    auto lease = read_lease(granting, ask.subject);
    RETURN_IF_ERROR(lease);
    RETURN_IF_ERROR(add_settled_month(granting, ask.subject,
                                      std::max(NanoUsd(), ask.settled - lease->settled)));
    lease->settled = std::max(lease->settled, ask.settled);
    lease->returned = std::max(lease->returned, ask.returned);
    RETURN_IF_ERROR(write_lease(granting, ask.subject, *lease));
    if (granting.request.is_leaving) return end_lease(granting, ask, *lease);
    const auto available = read_available(granting, ask.subject);
    RETURN_IF_ERROR(available);
    const NanoUsd more = std::max(NanoUsd(), ask.wanted - lease->granted);
    lease->granted = lease->granted + std::clamp(*available, NanoUsd(), more);
    RETURN_IF_ERROR(write_lease(granting, ask.subject, *lease));
    return LeaseGrant{ask.subject, lease->granted, lease->granted < ask.wanted};
}

Result<LeaseAnswer> grant_all(Granting granting) {
    const auto epoch = next_epoch(granting);
    RETURN_IF_ERROR(epoch);
    granting.epoch = *epoch;
    const auto share_ppm = share_for(granting);
    RETURN_IF_ERROR(share_ppm);
    // Until the gateway says that it goes by the new share, the old one is in use.
    RETURN_IF_ERROR(write_gateway(granting, std::max(*share_ppm, granting.request.share_ppm)));
    RETURN_IF_ERROR(drop_earlier_runs(granting));
    LeaseAnswer answer;
    answer.epoch = granting.epoch;
    answer.lifetime_ms = granting.terms.lifetime.count();
    answer.share_ppm = *share_ppm;
    for (const LeaseAsk& ask : granting.request.asks) {
        auto grant = grant_one(granting, ask);
        RETURN_IF_ERROR(grant);
        answer.grants.push_back(std::move(*grant));
    }
    return answer;
}

}  // namespace

Result<LeaseAnswer> grant_leases(Store& store,
                                 const LeaseRequest& request,
                                 const LeaseTerms& terms,
                                 WallTime now) {
    // Settled sums are of acknowledged usage, so the balance must have it before they count.
    RETURN_IF_ERROR(store.wait_until_posted());
    std::optional<LeaseAnswer> answer;
    RETURN_IF_ERROR(store.write_quietly([&](Database& database) -> Status {
        auto granted = grant_all(Granting{database, request, terms, now});
        RETURN_IF_ERROR(granted);
        answer = std::move(*granted);
        pass_failpoint(Failpoint::kLeaseGranting);
        return {};
    }));
    pass_failpoint(Failpoint::kLeaseGranted);
    return *answer;
}

}  // namespace turnpike::controlplane
