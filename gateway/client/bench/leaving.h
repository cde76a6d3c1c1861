// Which requests this side leaves before their end, and at which moment: a function of a seed.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace turnpike::gateway::client::bench {

// A request is left at whichever comes first.
struct Leave {
    std::int64_t after_events = 0;        // events with text; 0: at the first byte at the latest
    std::optional<double> after_s;        // since the request was sent; none: not by time
    std::optional<double> after_start_s;  // since it began to connect
    double part_sent = 1.0;               // once so much of the request is sent
};

struct LeaveOptions {
    double probability = 0.0;
    bool is_stream = true;
    bool is_early = false;  // some leave before the request is sent, too
    std::uint64_t seed = 0;
};

// One entry for each of `max_tokens` (of the requests, in order); empty: it stays. One in four
// leaves before the first byte, at a moment within 50 ms, the others after a number of events that
// is uniform from 1 to below max_tokens. Without a stream all leave by time. `is_early`: of
// those who leave by time, a quarter does so within 10 ms of the start, connected or not, and a
// quarter with the request half sent.
std::vector<std::optional<Leave>> plan_leaving(const std::vector<std::int64_t>& max_tokens,
                                               const LeaveOptions& options);

}  // namespace turnpike::gateway::client::bench
