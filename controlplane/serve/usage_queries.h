// OpenAI's usage and cost queries and Together's billing usage, as functions from a query and
// groups of usage to JSON text. Times are buckets in UTC; money is exact decimals. Pure but for
// group_usage.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/clock.h"
#include "config/base/ids.h"
#include "config/base/result.h"
#include "config/net/http_message.h"
#include "controlplane/store/store.h"
#include "controlplane/store/usage_groups.h"

namespace turnpike::controlplane {

// GET /v1/organization/usage/completions.
Result<std::string> usage_completions(const Store& store,
                                      const OrgId& org,
                                      const net::HttpRequest& request,
                                      WallTime now);
// GET /v1/organization/costs.
Result<std::string> costs(const Store& store,
                          const OrgId& org,
                          const net::HttpRequest& request,
                          WallTime now);
// GET /v1/billing/usage.
Result<std::string> billing_usage(const Store& store,
                                  const OrgId& org,
                                  const net::HttpRequest& request,
                                  WallTime now);

// Every value of a repeated query parameter, `name` or `name[]`, decoded.
std::vector<std::string> query_values(const net::HttpRequest& request, const std::string& name);

// One page of buckets.
struct BucketQuery {
    std::int64_t start_s = 0;  // of the first bucket of this page
    std::int64_t end_s = 0;    // of the whole query
    std::int64_t width_s = 0;
    std::int64_t limit = 0;

    // Where the page ends: `limit` buckets on, or the query's end.
    std::int64_t page_end_s() const;
};

struct WidthLimits {
    std::string_view name;
    std::int64_t width_s;
    std::int64_t default_limit;
    std::int64_t max_limit;
};

// start_time (required), end_time (now), bucket_width, limit, page. `widths`: what is allowed, the
// default first. kInvalidArgument names the parameter.
Result<BucketQuery> parse_bucket_query(const net::HttpRequest& request,
                                       const std::vector<WidthLimits>& widths,
                                       WallTime now);

}  // namespace turnpike::controlplane
