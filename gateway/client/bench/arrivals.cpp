#include "gateway/client/bench/arrivals.h"

#include <random>

namespace turnpike::gateway::client::bench {

std::vector<double> arrivals(std::size_t count, const ArrivalOptions& options) {
    std::vector<double> times(count, 0.0);
    if (!options.requests_per_s) return times;
    std::mt19937_64 random(options.seed);
    // Mean interval: shape * scale = 1 / rate.
    std::gamma_distribution<double> interval(options.burstiness,
                                             1.0 / (*options.requests_per_s * options.burstiness));
    for (std::size_t i = 1; i < count; ++i) times[i] = times[i - 1] + interval(random);
    return times;
}

}  // namespace turnpike::gateway::client::bench
