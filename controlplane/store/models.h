// Model names and prices. A price is immutable and versioned: usage names the version that it was
// admitted under, and the price is that of the name that was asked for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "controlplane/api/snapshot.h"

namespace turnpike::controlplane {

class Store;

// A name that clients may put into `model`.
struct ModelName {
    std::string name;
    EndpointId endpoint;
    std::optional<OrgId> owner;  // set: nobody else sees it
    std::string served_model;
    std::string display_name;
    std::string organization;  // who made the model
    std::int64_t context_length = 0;
};

// Publishes the name, or changes it to this. A new price version is made only when the price
// differs from the last that was given here (`price.version` is ignored; see prices.h).
// kInvalidArgument for a price that is negative or over a dollar per token; kNotFound when there is
// no such endpoint.
Result<ModelRow> put_model_name(Store& store,
                                const ModelName& name,
                                const Price& price,
                                WallTime now);

// Takes the name from gateways; its prices stay. No error when there is none.
Status remove_model_name(Store& store, const std::string& name, WallTime now);

// What is published, by name, with the prices of `now`.
Result<std::vector<ModelRow>> list_models(const Store& store, WallTime now);

// kNotFound.
Result<Price> find_price(const Store& store, std::int64_t version);

}  // namespace turnpike::controlplane
