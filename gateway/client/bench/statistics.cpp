#include "gateway/client/bench/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "config/base/check.h"

namespace turnpike::gateway::client::bench {

double percentile(std::span<const double> sorted, double percent) {
    CHECK(!sorted.empty() && percent >= 0.0 && percent <= 100.0);
    const double rank = percent / 100.0 * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(rank);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    const double share = rank - static_cast<double>(below);
    return sorted[below] + (sorted[above] - sorted[below]) * share;
}

Distribution describe(std::vector<double> values, std::span<const double> percents) {
    Distribution numbers;
    if (values.empty()) return numbers;
    std::sort(values.begin(), values.end());
    const auto count = static_cast<double>(values.size());
    numbers.count = static_cast<std::int64_t>(values.size());
    numbers.mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
    double squares = 0.0;
    for (const double value : values) squares += (value - numbers.mean) * (value - numbers.mean);
    numbers.standard_deviation = std::sqrt(squares / count);
    numbers.median = percentile(values, 50.0);
    numbers.min = values.front();
    numbers.max = values.back();
    for (const double percent : percents)
        numbers.percentiles.emplace_back(percent, percentile(values, percent));
    return numbers;
}

}  // namespace turnpike::gateway::client::bench
