// Replica minutes in control.db.
#include "controlplane/store/minutes.h"

#include <utility>

#include "controlplane/store/ledger_entries.h"
#include "controlplane/store/prices.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

std::string ref_of(const ReplicaId& replica, std::int64_t minute) {
    return "minutes:" + replica.value() + ":" + std::to_string(minute);
}

// A name without a price costs nothing.
Result<Price> price_now(Database& control, const std::string& name, WallTime now) {
    const auto prices = read_prices(control, name, now);
    RETURN_IF_ERROR(prices);
    return prices->current.value_or(Price{});
}

// Of one replica; false when it was booked before.
Result<bool> book(Database& control,
                  const ReadyReplica& ready,
                  std::int64_t revenue,
                  BalanceDeltas& deltas,
                  WallTime now) {
    const std::int64_t minute = minute_of(now);
    const auto price = price_now(control, ready.name, now);
    RETURN_IF_ERROR(price);
    const NanoUsd cost = price->per_minute_nano_usd;
    RETURN_IF_ERROR(control
                        .prepare("INSERT INTO replica_minutes (replica, minute, endpoint, name, "
                                 "org, price_version, cost_nano_usd, replica_index) VALUES (?, ?, "
                                 "?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
                        .bind(ready.replica.value())
                        .bind(minute)
                        .bind(ready.endpoint.value())
                        .bind(ready.name)
                        .bind(ready.org.value())
                        .bind(price->version)
                        .bind(cost)
                        .bind(std::int64_t{ready.index})
                        .run());
    if (control.num_changed() == 0) return false;
    if (cost == NanoUsd()) return true;
    const auto prepaid = prepaid_account(control, ready.org);
    RETURN_IF_ERROR(prepaid);
    const auto is_new = write_transaction(control, ref_of(ready.replica, minute), "",
                                          {{*prepaid, -cost}, {revenue, cost}}, now, deltas);
    RETURN_IF_ERROR(is_new);
    return true;
}

}  // namespace

std::int64_t minute_of(WallTime time) {
    return std::chrono::floor<std::chrono::minutes>(time.time_since_epoch()).count();
}

Result<int> book_minutes(Store& store, std::span<const ReadyReplica> ready, WallTime now) {
    int num_new = 0;
    RETURN_IF_ERROR(store.write([&](Database& control) -> Status {
        num_new = 0;
        const auto revenue = platform_account(control, "revenue");
        RETURN_IF_ERROR(revenue);
        BalanceDeltas deltas;
        for (const ReadyReplica& one : ready) {
            const auto is_new = book(control, one, *revenue, deltas, now);
            RETURN_IF_ERROR(is_new);
            num_new += *is_new ? 1 : 0;
        }
        return apply_deltas(control, deltas);
    }));
    return num_new;
}

Result<std::vector<MinuteGroup>> group_minutes(const Store& store,
                                               const OrgId& org,
                                               WallTime begin,
                                               WallTime end) {
    std::vector<MinuteGroup> groups;
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        Statement rows = control.prepare(
            "SELECT name, price_version, count(*), sum(cost_nano_usd) FROM replica_minutes WHERE "
            "org = ? AND minute >= ? AND minute < ? GROUP BY name, price_version");
        rows.bind(org.value()).bind(minute_of(begin)).bind(minute_of(end));
        while (rows.step())
            groups.push_back({rows.text(0), rows.integer(1), rows.integer(2), rows.money(3)});
        return rows.status();
    }));
    return groups;
}

Result<NanoUsd> price_of_minute(const Store& store, const std::string& name, WallTime now) {
    NanoUsd cost;
    RETURN_IF_ERROR(store.read([&](Database& control) -> Status {
        const auto price = price_now(control, name, now);
        RETURN_IF_ERROR(price);
        cost = price->per_minute_nano_usd;
        return {};
    }));
    return cost;
}

Result<std::map<std::string, NanoUsd>> sum_minutes(Database& control) {
    Statement rows =
        control.prepare("SELECT org, sum(cost_nano_usd) FROM replica_minutes GROUP BY org");
    std::map<std::string, NanoUsd> sums;
    while (rows.step()) sums[rows.text(0)] = rows.money(1);
    RETURN_IF_ERROR(rows.status());
    return sums;
}

Result<std::optional<std::string>> find_minute_misfit(Database& control) {
    Statement minutes = control.prepare(
        "SELECT m.replica, m.minute, m.cost_nano_usd FROM replica_minutes m WHERE m.cost_nano_usd "
        "<> 0 AND NOT EXISTS (SELECT 1 FROM transactions t JOIN entries e ON e.transaction_id = "
        "t.id JOIN accounts a ON a.id = e.account_id AND a.kind = 'prepaid' AND a.org = m.org "
        "WHERE t.ref = 'minutes:' || m.replica || ':' || m.minute AND e.amount_nano_usd = "
        "-m.cost_nano_usd) LIMIT 1");
    if (minutes.step())
        return std::optional("minute " + std::to_string(minutes.integer(1)) + " of replica " +
                             minutes.text(0) + " costs " + format_usd(minutes.money(2)) +
                             " USD and is not so in the ledger");
    RETURN_IF_ERROR(minutes.status());
    Statement refs = control.prepare(
        "SELECT t.id, t.ref FROM transactions t WHERE t.ref GLOB 'minutes:*' AND NOT EXISTS "
        "(SELECT 1 FROM replica_minutes m WHERE 'minutes:' || m.replica || ':' || m.minute = t.ref "
        "AND m.cost_nano_usd <> 0) LIMIT 1");
    if (refs.step())
        return std::optional("transaction " + std::to_string(refs.integer(0)) + " (" +
                             refs.text(1) + ") is in the ledger and no such minute was booked");
    RETURN_IF_ERROR(refs.status());
    return std::optional<std::string>();
}

}  // namespace turnpike::controlplane
