#include "gateway/client/bench/leaving.h"

#include <algorithm>
#include <random>

namespace turnpike::gateway::client::bench {
namespace {

constexpr double kBeforeFirstByte = 0.25;
constexpr double kLongestWaitS = 0.05;
constexpr double kLongestStartS = 0.01;

}  // namespace

std::vector<std::optional<Leave>> plan_leaving(const std::vector<std::int64_t>& max_tokens,
                                               const LeaveOptions& options) {
    std::mt19937_64 random(options.seed);
    std::uniform_real_distribution<double> unit(0.0, 1.0);
    std::vector<std::optional<Leave>> plan;
    plan.reserve(max_tokens.size());
    for (const std::int64_t most : max_tokens) {
        // The same number of draws for each, so that one request's fate does not move another's.
        const double whether = unit(random);
        const double when = unit(random);
        const double how_far = unit(random);
        if (whether >= options.probability) {
            plan.emplace_back();
        } else if (options.is_early && when < kBeforeFirstByte / 4) {
            plan.push_back(Leave{0, {}, how_far * kLongestStartS});
        } else if (options.is_early && when < kBeforeFirstByte / 2) {
            plan.push_back(Leave{0, {}, {}, how_far});
        } else if (!options.is_stream || when < kBeforeFirstByte) {
            plan.push_back(Leave{0, how_far * kLongestWaitS, {}});
        } else {
            const auto range = static_cast<double>(std::max<std::int64_t>(most - 1, 1));
            plan.push_back(Leave{1 + static_cast<std::int64_t>(how_far * range), {}, {}});
        }
    }
    return plan;
}

}  // namespace turnpike::gateway::client::bench
