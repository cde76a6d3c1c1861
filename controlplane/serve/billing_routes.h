// The operator's routes on the admin socket for prices, invoices, exported usage, rollups and
// quarantine; see ops/docs/formats/admin-api.md.
#pragma once

#include <string>

#include "config/base/clock.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "controlplane/serve/router.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {

// All arguments outlive the router.
void add_billing_routes(Router& router, Store& store, const Clock& clock);

// "3" USD per million tokens is 3,000 nano-dollars per token; an amount that is no integer of those
// is refused. `param` names the field in the error.
Result<NanoUsd> parse_per_token_price(const std::string& usd_per_mtok, const char* param);

// A number of at least 0; 0 when the query has none of this name.
Result<std::int64_t> integer_of_query(const net::HttpRequest& request, const char* name);

// "2026-12-01" (midnight) or "2026-12-01T06:30:00Z".
Result<WallTime> parse_utc(const std::string& text, const char* param);

}  // namespace turnpike::controlplane
