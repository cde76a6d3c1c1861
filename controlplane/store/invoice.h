// Invoices: one organisation, one month (UTC, of the request ids), made from the month's events and
// the price versions that they name, and from nothing else. Exact to the nano-dollar; only the
// amount due is rounded, to the cent.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"

namespace turnpike::controlplane {

class Store;

// One model name under one price version.
struct InvoiceLine {
    std::string model;
    Price price;
    std::int64_t num_requests = 0;
    TokenUsage usage;
    NanoUsd input_nano_usd;  // of the tokens that were not cached
    NanoUsd cached_nano_usd;
    NanoUsd output_nano_usd;
    NanoUsd total_nano_usd;
};

// The replicas of one dedicated endpoint under one price version.
struct MinuteLine {
    std::string endpoint;  // its name
    std::int64_t price_version = 0;
    std::int64_t num_minutes = 0;  // of a replica each
    NanoUsd total_nano_usd;
};

struct Invoice {
    OrgId org;
    std::string org_name;
    std::string month;      // "2026-11"
    bool is_final = false;  // the month is over, and a day more for what is still delivered
    std::vector<InvoiceLine> lines;  // by model and version
    std::vector<MinuteLine> minutes;
    NanoUsd total_nano_usd;
    std::int64_t due_cents = 0;  // the total, half a cent and more rounded up
    std::int64_t num_written_off = 0;
    TokenUsage written_off;
    NanoUsd written_off_nano_usd;  // not in the total
};

// A month without usage has no lines. kInvalidArgument for text that is no month; kCorrupt when the
// events of a line do not add up to what its price makes of its tokens.
Result<Invoice> make_invoice(const Store& store,
                             const OrgId& org,
                             const std::string& month,
                             WallTime now);

// RFC 4180: a header, one row per line with exact amounts in USD; rows of minutes have no tokens.
std::string write_csv(const Invoice& invoice);

std::int64_t round_to_cents(NanoUsd amount);

}  // namespace turnpike::controlplane
