// What customers ask through a gateway, on the internal socket under the public paths: a past
// request, usage, costs, and who they are. The gateway has checked the key and says whose it is in
// the headers of controlplane/api/caller.h. See ops/docs/formats/usage-queries.md.
#pragma once

#include <functional>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/result.h"
#include "controlplane/serve/router.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// Whose usage is asked for.
using CallerOf = std::function<Result<OrgId>(const net::HttpRequest&)>;

// By the gateway's headers. kUnauthenticated without them.
CallerOf caller_of_gateway();
// By `?org=`, an id or a name: for operators. `store` outlives the function.
CallerOf caller_of_operator(const Store& store);

// All references outlive the router.
void add_public_routes(Router& router, const Store& store, const Clock& clock, CallerOf caller_of);

}  // namespace turnpike::controlplane
