// Routes of the admin socket for accounts and money.
#include "controlplane/serve/account_routes.h"

#include <charconv>
#include <utility>

#include "controlplane/serve/account_json.h"
#include "controlplane/serve/body.h"
#include "controlplane/store/credit.h"
#include "controlplane/store/models.h"

namespace turnpike::controlplane {
namespace {

using nlohmann::json;

constexpr std::int64_t kDefaultLimit = 100;
constexpr std::int64_t kMaxLimit = 1000;

// Every route's function gives a JSON value or an Error.
net::HttpResponse answer(const Result<json>& result) {
    return result ? json_response(200, dump(*result)) : error_response(result.error());
}

template <class Row>
json data_of(const std::vector<Row>& rows) {
    json data = json::array();
    for (const Row& row : rows) data.push_back(to_json(row));
    return {{"data", std::move(data)}};
}

Result<json> create_organisation_route(Store& store, const std::string& text, WallTime now) {
    auto body = Body::parse(text);
    RETURN_IF_ERROR(body);
    const std::string name = body->text("name");
    RETURN_IF_ERROR(body->finish());
    const auto organisation = create_organisation(store, name, now);
    RETURN_IF_ERROR(organisation);
    return to_json(*organisation);
}

Result<json> create_key_route(Store& store,
                              const crypto::Peppers& peppers,
                              const std::string& text,
                              WallTime now) {
    auto body = Body::parse(text);
    RETURN_IF_ERROR(body);
    const std::string org = body->text("org");
    const std::string name = body->text("name", "");
    RETURN_IF_ERROR(body->finish());
    const auto organisation = find_organisation(store, org);
    RETURN_IF_ERROR(organisation);
    const auto made = create_key(store, peppers, organisation->id, name, now);
    RETURN_IF_ERROR(made);
    json object = to_json(made->key);
    object["key"] = made->secret.reveal();
    return object;
}

Result<json> list_keys_route(const Store& store, const net::HttpRequest& request) {
    const auto org = org_of_query(store, request);
    RETURN_IF_ERROR(org);
    const auto keys = list_keys(store, *org);
    RETURN_IF_ERROR(keys);
    return data_of(*keys);
}

Result<json> add_credit_route(Store& store, const std::string& text, WallTime now) {
    auto body = Body::parse(text);
    RETURN_IF_ERROR(body);
    const std::string org = body->text("org");
    const std::string amount_usd = body->text("amount_usd");
    const std::string note = body->text("note", "");
    const std::string idempotency_key = body->text("idempotency_key", "");
    const std::string kind_name = body->text("kind", "add");
    RETURN_IF_ERROR(body->finish());
    const auto kind = parse_credit_kind(kind_name);
    RETURN_IF_ERROR(kind);
    const auto organisation = find_organisation(store, org);
    RETURN_IF_ERROR(organisation);
    const auto amount = parse_usd(amount_usd);
    if (!amount) return invalid_argument(amount.error().message, "amount_usd");
    const Credit credit{organisation->id, *amount, note, idempotency_key, *kind};
    const auto result = add_credit(store, credit, now);
    RETURN_IF_ERROR(result);
    return to_json(*result);
}

Result<json> reverse_route(Store& store, const std::string& text, WallTime now) {
    auto body = Body::parse(text);
    RETURN_IF_ERROR(body);
    const std::string transaction = body->text("transaction");
    const std::string reason = body->text("reason");
    RETURN_IF_ERROR(body->finish());
    const auto result = reverse_transaction(store, transaction, reason, now);
    RETURN_IF_ERROR(result);
    return to_json(*result);
}

Result<json> chain_route(const Store& store) {
    const auto report = verify_chain(store);
    RETURN_IF_ERROR(report);
    return to_json(*report);
}

Result<std::int64_t> limit_of_query(const net::HttpRequest& request) {
    const std::string text = request.query("limit");
    if (text.empty()) return kDefaultLimit;
    std::int64_t limit = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, limit);
    if (error != std::errc() || rest != end || limit < 1 || limit > kMaxLimit) {
        return invalid_argument(
            "expected a limit from 1 to " + std::to_string(kMaxLimit) + ", found '" + text + "'",
            "limit");
    }
    return limit;
}

Result<json> usage_route(const Store& store, const net::HttpRequest& request) {
    const auto org = org_of_query(store, request);
    RETURN_IF_ERROR(org);
    const auto limit = limit_of_query(request);
    RETURN_IF_ERROR(limit);
    const auto listing = list_usage(store, *org, *limit);
    RETURN_IF_ERROR(listing);
    return to_json(*listing);
}

Result<json> billing_route(const Store& store, const net::HttpRequest& request) {
    const auto org = org_of_query(store, request);
    RETURN_IF_ERROR(org);
    const auto statement = billing_statement(store, *org);
    RETURN_IF_ERROR(statement);
    return to_json(*statement);
}

Result<json> models_route(const Store& store, WallTime now) {
    const auto models = list_models(store, now);
    RETURN_IF_ERROR(models);
    json data = json::array();
    for (const ModelRow& row : *models) data.push_back(json::parse(write_row(row)));
    return json{{"data", std::move(data)}};
}

Result<json> organisations_route(const Store& store) {
    const auto organisations = list_organisations(store);
    RETURN_IF_ERROR(organisations);
    return data_of(*organisations);
}

Result<json> revoke_key_route(Store& store, const std::string& id, WallTime now) {
    const auto key = revoke_key(store, KeyId(id), now);
    RETURN_IF_ERROR(key);
    return to_json(*key);
}

// Reads, so that a disk that is gone shows.
}  // namespace

Result<std::optional<OrgId>> org_of_query(const Store& store, const net::HttpRequest& request) {
    const std::string org = request.query("org");
    if (org.empty()) return std::optional<OrgId>();
    const auto organisation = find_organisation(store, org);
    RETURN_IF_ERROR(organisation);
    return std::optional<OrgId>(organisation->id);
}

void add_account_routes(Router& router,
                        Store& store,
                        const crypto::Peppers& peppers,
                        const Clock& clock) {
    using net::HttpRequest;
    router.add("POST", "/admin/v1/organisations",
               [&](const HttpRequest& request, const PathArguments&) {
                   return answer(create_organisation_route(store, request.body, clock.wall_now()));
               });
    router.add("GET", "/admin/v1/organisations", [&](const HttpRequest&, const PathArguments&) {
        return answer(organisations_route(store));
    });
    router.add("POST", "/admin/v1/keys", [&](const HttpRequest& request, const PathArguments&) {
        return answer(create_key_route(store, peppers, request.body, clock.wall_now()));
    });
    router.add("GET", "/admin/v1/keys", [&](const HttpRequest& request, const PathArguments&) {
        return answer(list_keys_route(store, request));
    });
    router.add("DELETE", "/admin/v1/keys/{}",
               [&](const HttpRequest&, const PathArguments& arguments) {
                   return answer(revoke_key_route(store, arguments[0], clock.wall_now()));
               });
    router.add("POST", "/admin/v1/credit", [&](const HttpRequest& request, const PathArguments&) {
        return answer(add_credit_route(store, request.body, clock.wall_now()));
    });
    router.add("POST", "/admin/v1/reversals",
               [&](const HttpRequest& request, const PathArguments&) {
                   return answer(reverse_route(store, request.body, clock.wall_now()));
               });
    router.add("GET", "/admin/v1/chain", [&](const HttpRequest&, const PathArguments&) {
        return answer(chain_route(store));
    });
    router.add("GET", "/admin/v1/usage", [&](const HttpRequest& request, const PathArguments&) {
        return answer(usage_route(store, request));
    });
    router.add("GET", "/admin/v1/billing", [&](const HttpRequest& request, const PathArguments&) {
        return answer(billing_route(store, request));
    });
    router.add("GET", "/admin/v1/models", [&](const HttpRequest&, const PathArguments&) {
        return answer(models_route(store, clock.wall_now()));
    });
}

}  // namespace turnpike::controlplane
