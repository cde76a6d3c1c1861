// The command line of turnpike-bench.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/base/result.h"
#include "gateway/client/bench/metrics.h"
#include "gateway/client/service.h"

namespace turnpike::gateway::client::bench {

struct Flags {
    ServiceFlags service;
    std::string model;              // empty: the first that the server lists
    std::string endpoint = "chat";  // or "completions"
    bool is_whole = false;          // without streams
    std::optional<double> temperature;
    bool ignores_eos = false;
    std::string extra_body;

    std::optional<std::int64_t> num_prompts;  // none: 1000, or as many as the file holds
    std::string prompt_file;
    std::int64_t input_len = 1024;
    std::int64_t output_len = 128;
    double range_ratio = 0.0;
    std::int64_t prefix_len = 0;
    std::int64_t vocab_size = 0;

    std::optional<double> request_rate;
    double burstiness = 1.0;
    std::optional<std::int64_t> concurrency;
    double disconnect_rate = 0.0;
    bool disconnects_early = false;
    std::int64_t num_warmup = 0;
    std::uint64_t seed = 0;
    double timeout_s = 600.0;

    std::vector<std::string> goodput;  // "ttft:500"
    std::vector<double> percents = {90.0, 95.0, 99.0};
    std::string json_file;
    bool has_rows = false;
    std::vector<std::string> metadata;  // "name=value"
};

void declare(CLI::App& app, Flags& flags);

// "ttft:500", "tpot:50", "e2el:10000", in milliseconds.
Result<Slo> parse_goodput(const std::vector<std::string>& goals);
Result<std::map<std::string, std::string>> parse_metadata(const std::vector<std::string>& pairs);

}  // namespace turnpike::gateway::client::bench
