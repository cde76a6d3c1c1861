// Usage of one organisation added up from events, without what was refused before it began: per
// stretch of time, model, key and price version. Usage queries, costs and invoices are made of
// these.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "controlplane/store/sqlite.h"

namespace turnpike::controlplane {

class Store;

struct UsageGroup {
    std::int64_t bucket_at_us = 0;  // a multiple of the width
    std::string model;
    KeyId key;
    std::int64_t price_version = 0;
    bool is_billed = true;
    std::int64_t num_requests = 0;
    TokenUsage usage;
    NanoUsd cost_nano_usd;  // what was written off when it is not billed
};

// Requests opened in [from, to), in buckets of `width_us`.
struct UsageRange {
    OrgId org;
    std::int64_t from_at_us = 0;
    std::int64_t to_at_us = 0;
    std::int64_t width_us = 0;
};

// Of the files of the months that the range touches; by bucket, model, key and price version.
Result<std::vector<UsageGroup>> group_usage(const Store& store, const UsageRange& range);

// Of one month's file.
Result<std::vector<UsageGroup>> group_events(Database& month_file, const UsageRange& range);

// Every version, by number.
Result<std::map<std::int64_t, Price>> read_price_versions(Database& control);
Result<std::map<std::int64_t, Price>> read_price_versions(const Store& store);

}  // namespace turnpike::controlplane
