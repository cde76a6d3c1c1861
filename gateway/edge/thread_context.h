// ThreadContext: what every session of one gateway thread uses. No other thread touches it, but for
// the parts that say that they are thread-safe.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <random>
#include <string>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "gateway/edge/auth.h"
#include "gateway/edge/directory_feed.h"
#include "gateway/edge/edge_metrics.h"
#include "gateway/edge/lease_desk.h"
#include "gateway/edge/loop.h"
#include "gateway/edge/meter_resolver.h"
#include "gateway/edge/outbox.h"
#include "gateway/edge/settings.h"
#include "gateway/edge/upstream.h"
#include "gateway/policy/account.h"
#include "gateway/policy/load_board.h"
#include "gateway/policy/routing.h"

namespace turnpike::gateway {

struct ThreadContext {
    const Clock& clock;
    Log& log;                 // thread-safe
    SSL_CTX& tls;             // thread-safe
    SSL_CTX* upstream_tls;    // thread-safe; null: no replica has a tls: address
    Outbox& outbox;           // thread-safe
    MeterResolver& resolver;  // thread-safe
    LeaseDesk& leases;        // thread-safe
    EdgeMetrics& metrics;     // thread-safe
    LoadBoard& load;          // thread-safe
    EdgeTimes times;
    Durability durability;
    std::string controlplane;  // its internal address
    Loop& loop;
    DirectoryReader directory;
    Authenticator authenticator;
    UpstreamPool pool;
    InFlight in_flight;
    Outliers outliers;
    AccountReader accounts;
    controlplane::Limits default_limits;  // of an organisation without limits of its own
    std::mt19937_64 random;               // for routing only
    std::string http_date;                // moved on by the sweep
    bool is_draining = false;             // no connection outlives its next answer
    bool is_refusing = false;             // no request is admitted any more
};

}  // namespace turnpike::gateway
