#include "controlplane/serve/seed.h"

#include <set>
#include <utility>
#include <vector>

#include "config/base/read_file.h"
#include "config/crypto/digest.h"
#include "config/crypto/identifiers.h"
#include "controlplane/store/endpoints.h"
#include "controlplane/store/organisations.h"

namespace turnpike::controlplane {
namespace {

constexpr const char* kActor = "settings";

Result<Organisation> find_or_create_organisation(Store& store,
                                                 const std::string& name,
                                                 WallTime now) {
    Result<Organisation> found = find_organisation(store, name);
    if (found || found.error().code != ErrorCode::kNotFound) return found;
    return create_organisation(store, name, now);
}

// Who serves this model on this hardware already.
const Endpoint* find_pool(const std::vector<Endpoint>& endpoints,
                          const std::string& model,
                          const PoolSettings& pool) {
    for (const Endpoint& endpoint : endpoints) {
        if (endpoint.type == EndpointType::kServerless && endpoint.model == model &&
            endpoint.hardware == pool.hardware)
            return &endpoint;
    }
    return nullptr;
}

Result<Endpoint> put_pool(Store& store,
                          const Organisation& platform,
                          const std::vector<Endpoint>& endpoints,
                          const ModelSettings& model,
                          const PoolSettings& pool,
                          WallTime now) {
    if (const Endpoint* found = find_pool(endpoints, model.card.id, pool)) {
        EndpointChange change;
        change.autoscaling = pool.autoscaling;
        return update_endpoint(store, found->id, change, kActor, now);
    }
    NewEndpoint request;
    request.actor = kActor;
    request.wanted.name = new_endpoint_name(platform.name, model.card.id);
    request.wanted.display_name = model.card.display_name;
    request.wanted.model = model.card.id;
    request.wanted.hardware = pool.hardware;
    request.wanted.type = EndpointType::kServerless;
    request.wanted.owner = platform.id;
    request.wanted.autoscaling = pool.autoscaling;
    return create_endpoint(store, request, now);
}

Status put_names(Store& store,
                 const ModelSettings& model,
                 const EndpointId& endpoint,
                 WallTime now) {
    for (const NameSettings& name : model.names) {
        ModelName row;
        row.name = name.name;
        row.endpoint = endpoint;
        row.served_model = model.card.id;
        row.display_name = name.card.display_name;
        row.organization = name.card.organization;
        row.context_length = model.card.context_length;
        const Price price{0, name.card.input_nano_usd, name.card.cached_input_nano_usd,
                          name.card.output_nano_usd, NanoUsd()};
        RETURN_IF_ERROR(put_model_name(store, row, price, now));
    }
    return {};
}

// Platform names and pools that the settings no longer have.
Status remove_others(Store& store,
                     const std::vector<Endpoint>& before,
                     const std::set<EndpointId>& pools,
                     const std::set<std::string>& names,
                     WallTime now) {
    const Result<std::vector<ModelRow>> published = list_models(store, now);
    if (!published) return published.error();
    for (const ModelRow& row : *published) {
        if (!row.owner && !names.contains(row.name))
            RETURN_IF_ERROR(remove_model_name(store, row.name, now));
    }
    for (const Endpoint& endpoint : before) {
        if (endpoint.type == EndpointType::kServerless && !pools.contains(endpoint.id))
            RETURN_IF_ERROR(delete_endpoint(store, endpoint.id, kActor, now));
    }
    return {};
}

// Of all that makes a replica of this model another one when it changes.
Result<std::string> digest_of(const ModelSettings& model) {
    const auto card = read_file("the model card", model.card_file);
    RETURN_IF_ERROR(card);
    const std::string drafts = std::to_string(model.speculative_tokens);
    return crypto::to_hex(
        crypto::sha256(model.card_file + "\n" + model.model_dir + "\n" + drafts + "\n" + *card));
}

}  // namespace

Status seed(Store& store, const ControlplaneSettings& settings, WallTime now) {
    const Result<Organisation> platform =
        find_or_create_organisation(store, settings.platform_organisation, now);
    if (!platform) return platform.error();
    const Result<std::vector<Endpoint>> before = list_endpoints(store, platform->id);
    if (!before) return before.error();
    for (const ModelSettings& model : settings.models) {
        const auto digest = digest_of(model);
        RETURN_IF_ERROR(digest);
        RETURN_IF_ERROR(note_model_run(store, model.card.id, *digest, kActor, now));
    }
    std::set<EndpointId> pools;
    std::set<std::string> names;
    for (const PoolSettings& pool : settings.serverless) {
        const ModelSettings& model = *settings.find_model(pool.model);
        const Result<Endpoint> endpoint = put_pool(store, *platform, *before, model, pool, now);
        if (!endpoint) return endpoint.error();
        pools.insert(endpoint->id);
        RETURN_IF_ERROR(put_names(store, model, endpoint->id, now));
        for (const NameSettings& name : model.names) names.insert(name.name);
    }
    return remove_others(store, *before, pools, names, now);
}

std::string new_endpoint_name(const std::string& owner, const std::string& model) {
    return owner + "/" + model + "-" + crypto::new_uuid4().substr(0, 8);
}

}  // namespace turnpike::controlplane
