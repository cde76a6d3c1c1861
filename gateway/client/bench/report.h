// The report of a load test: a table for people, JSON for programs. See ops/docs/formats/bench.md.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "gateway/client/bench/metrics.h"

namespace turnpike::gateway::client::bench {

struct RunFacts {
    std::string started_at;  // RFC 3339
    std::string commit;      // of this program
    std::string machine;     // of this program, not of the server
    std::int64_t num_cpus = 0;
    std::string base_url;
    std::string model;
    std::vector<std::string> arguments;           // of the command line, without the key
    std::map<std::string, std::string> metadata;  // as given
    double client_cpu_s = 0.0;                    // of this process during the run
    std::int64_t num_warmup = 0;
    bool is_interrupted = false;
};

// Several lines, each with its end.
std::string report_table(const Metrics& metrics, const RunFacts& facts, const Slo& slo);

// One object, indented. `records` may be empty: without rows.
std::string report_json(const Metrics& metrics,
                        const RunFacts& facts,
                        const Slo& slo,
                        std::span<const RequestRecord> records);

}  // namespace turnpike::gateway::client::bench
