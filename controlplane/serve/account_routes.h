// The operator's routes on the admin socket for organisations, keys, credit, usage, billing and
// models; see ops/docs/formats/admin-api.md.
#pragma once

#include <optional>
#include <string>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/result.h"
#include "config/crypto/pepper.h"
#include "controlplane/serve/router.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// All arguments outlive the router.
void add_account_routes(Router& router,
                        Store& store,
                        const crypto::Peppers& peppers,
                        const Clock& clock);

// The organisation of `?org=`, an id or a name; empty when the query has none. kNotFound.
Result<std::optional<OrgId>> org_of_query(const Store& store, const net::HttpRequest& request);

}  // namespace turnpike::controlplane
