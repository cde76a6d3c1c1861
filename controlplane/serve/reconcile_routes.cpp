#include "controlplane/serve/reconcile_routes.h"

#include <chrono>
#include <set>
#include <utility>

#include "controlplane/serve/account_json.h"
#include "controlplane/serve/body.h"
#include "controlplane/store/replicas.h"
#include "controlplane/store/usage.h"

namespace turnpike::controlplane {
namespace {

using nlohmann::json;

constexpr auto kMeterTimeout = std::chrono::seconds(2);
// Requests that one engine is asked about when its totals do not fit.
constexpr std::int64_t kMaxQuestions = 20'000;

std::string words_of(const TokenUsage& usage) {
    return std::to_string(usage.prompt_tokens) + " prompt (" + std::to_string(usage.cached_tokens) +
           " cached) and " + std::to_string(usage.completion_tokens) + " completion (" +
           std::to_string(usage.reasoning_tokens) + " reasoning) tokens";
}

bool has_more(const TokenUsage& a, const TokenUsage& b) {
    return a.prompt_tokens > b.prompt_tokens || a.cached_tokens > b.cached_tokens ||
           a.completion_tokens > b.completion_tokens || a.reasoning_tokens > b.reasoning_tokens;
}

// What is wrong with one request in the engine's eyes; empty when nothing is.
std::string compare_request(const UsageRow& row, const std::optional<engine::MeterEntry>& entry) {
    const TokenUsage counted = entry ? entry->usage : TokenUsage();
    if (counted == row.record.usage) return {};
    return "request " + row.record.request_id.value() + ": the engine counted " +
           words_of(counted) + ", its event has " + words_of(row.record.usage);
}

// The first event of the replica that its engine counted otherwise.
Result<std::string> find_request(const Store& store, const ReplicaId& replica, EngineMeter& meter) {
    std::string fault;
    std::int64_t num_asked = 0;
    RETURN_IF_ERROR(visit_usage(store, replica, [&](const UsageRow& row) -> Result<bool> {
        const auto entry = meter.ask_request(row.record.request_id);
        RETURN_IF_ERROR(entry);
        fault = compare_request(row, *entry);
        return fault.empty() && ++num_asked < kMaxQuestions;
    }));
    return fault;
}

struct Engines {
    std::vector<EngineComparison> asked;
    std::vector<ReplicaId> unasked;
};

Status ask(const Store& store,
           const Replica& replica,
           const EngineAccess& access,
           const ReplicaUsage& books,
           Engines& engines) {
    auto meter = EngineMeter::at(replica.address, replica.id, access);
    RETURN_IF_ERROR(meter);
    const auto totals = meter->ask_totals();
    if (!totals) {
        engines.unasked.push_back(replica.id);
        return {};
    }
    EngineComparison comparison = compare(replica.id, *totals, books);
    if (comparison.fault) {
        const auto request = find_request(store, replica.id, *meter);
        RETURN_IF_ERROR(request);
        if (!request->empty()) comparison.fault = *request;
    }
    engines.asked.push_back(std::move(comparison));
    return {};
}

// Replicas that run are asked; others with usage in the books are told as not asked.
Result<Engines> ask_engines(const Store& store,
                            const EngineAccess& access,
                            const Reconciliation& books) {
    const auto replicas = list_replicas(store, std::nullopt);
    RETURN_IF_ERROR(replicas);
    Engines engines;
    std::set<ReplicaId> known;
    for (const Replica& replica : *replicas) {
        known.insert(replica.id);
        const auto found = books.by_replica.find(replica.id);
        const ReplicaUsage usage = found == books.by_replica.end() ? ReplicaUsage() : found->second;
        RETURN_IF_ERROR(ask(store, replica, access, usage, engines));
    }
    for (const auto& [id, usage] : books.by_replica) {
        const bool has_tokens = !(usage.sum() == TokenUsage());
        if (has_tokens && !known.contains(id)) engines.unasked.push_back(id);
    }
    return engines;
}

json tokens(const TokenUsage& usage) {
    json object = json::object();
    put_tokens(object, usage);
    return object;
}

json to_json(const Engines& engines) {
    json asked = json::array();
    for (const EngineComparison& one : engines.asked) {
        asked.push_back({{"replica", one.replica.value()},
                         {"open", one.engine.num_open},
                         {"engine", tokens(one.engine.usage)},
                         {"billed", tokens(one.books.billed)},
                         {"written_off", tokens(one.books.written_off)},
                         {"quarantined", tokens(one.books.quarantined)},
                         {"fits", !one.fault && !one.is_busy},
                         {"busy", one.is_busy}});
    }
    json unasked = json::array();
    for (const ReplicaId& id : engines.unasked) unasked.push_back(id.value());
    return {{"asked", std::move(asked)}, {"unasked", std::move(unasked)}};
}

json to_json(const Reconciliation& books, const Engines& engines) {
    json misfits = json::array();
    for (const Misfit& one : books.misfits) {
        misfits.push_back({{"check", one.check}, {"what", one.what}});
    }
    for (const EngineComparison& one : engines.asked) {
        if (one.fault) misfits.push_back({{"check", "engine"}, {"what", *one.fault}});
    }
    json usage = {{"events", books.num_events},
                  {"billed", books.num_billed},
                  {"written_off", books.num_written_off},
                  {"unposted", books.num_unposted},
                  {"quarantined", books.num_quarantined}};
    put_money(usage, "cost", books.usage_cost_nano_usd);
    json ledger = {{"transactions", books.num_transactions},
                   {"links", books.num_links},
                   {"head", books.chain_head}};
    put_money(ledger, "charged", books.charged_nano_usd);
    const bool agrees = misfits.empty();
    return {{"agrees", agrees},
            {"misfits", std::move(misfits)},
            {"usage", std::move(usage)},
            {"ledger", std::move(ledger)},
            {"engines", to_json(engines)}};
}

Result<json> reconcile_route(const Store& store, const EngineAccess& access) {
    const auto books = reconcile_books(store);
    RETURN_IF_ERROR(books);
    const auto engines = ask_engines(store, access, *books);
    RETURN_IF_ERROR(engines);
    return to_json(*books, *engines);
}

}  // namespace

EngineComparison compare(const ReplicaId& replica,
                         const engine::MeterTotals& engine,
                         const ReplicaUsage& books) {
    EngineComparison comparison{replica, engine, books, false, std::nullopt};
    const TokenUsage sum = books.sum();
    if (sum == engine.usage) return comparison;
    if (engine.num_open > 0 && !has_more(sum, engine.usage)) {
        comparison.is_busy = true;
        return comparison;
    }
    comparison.fault = "replica " + replica.value() + ": the engine counted " +
                       words_of(engine.usage) + ", the books have " + words_of(sum) +
                       "; what a gateway has not delivered yet is missing too: repeat it";
    return comparison;
}

void add_reconcile_routes(Router& router,
                          const Store& store,
                          const std::optional<net::TlsFiles>& engine_tls) {
    const EngineAccess access{engine_tls, kMeterTimeout};
    router.add("GET", "/admin/v1/reconcile",
               [&store, access](const net::HttpRequest&, const PathArguments&) {
                   const auto result = reconcile_route(store, access);
                   return result ? json_response(200, dump(*result))
                                 : error_response(result.error());
               });
}

}  // namespace turnpike::controlplane
