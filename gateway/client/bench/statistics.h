// The usual numbers of a list of measurements.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace turnpike::gateway::client::bench {

struct Distribution {
    std::int64_t count = 0;  // 0: every other field is 0 and means nothing
    double mean = 0.0;
    double median = 0.0;
    double standard_deviation = 0.0;  // of the population
    double min = 0.0;
    double max = 0.0;
    std::vector<std::pair<double, double>> percentiles;  // (percent, value)
};

// Linear between the two nearest ranks, as numpy.percentile does. `sorted` ascending, not empty;
// `percent` from 0 to 100.
double percentile(std::span<const double> sorted, double percent);

Distribution describe(std::vector<double> values, std::span<const double> percents);

}  // namespace turnpike::gateway::client::bench
