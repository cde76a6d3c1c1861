// When requests arrive: a function of the rate, the burstiness and a seed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace turnpike::gateway::client::bench {

struct ArrivalOptions {
    std::optional<double> requests_per_s;  // none: all at once
    // Shape of the gamma distribution of the intervals. 1: a Poisson process; below 1 burstier,
    // above 1 more even.
    double burstiness = 1.0;
    std::uint64_t seed = 0;
};

// Seconds since the start, ascending, the first at 0.
std::vector<double> arrivals(std::size_t count, const ArrivalOptions& options);

}  // namespace turnpike::gateway::client::bench
