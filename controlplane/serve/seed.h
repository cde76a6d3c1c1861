// What the settings say, brought into the store: the platform's organisation, its serverless pools
// and the names that they serve with their prices.
#pragma once

#include <string>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "controlplane/serve/settings.h"
#include "controlplane/store/models.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// Idempotent: a second call with the same settings changes nothing. Pools and names that the
// settings no longer have are taken away; a price that differs becomes a new version.
Status seed(Store& store, const ControlplaneSettings& settings, WallTime now);

// "<owner>/<model>-<8 hex>": what clients put into `model`; unique by chance.
std::string new_endpoint_name(const std::string& owner, const std::string& model);

}  // namespace turnpike::controlplane
