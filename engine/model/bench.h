// Speed of a checkpoint on this machine, beside what the machine can do in the same seconds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/result.h"
#include "engine/model/load.h"

namespace turnpike::engine {

struct BenchOptions {
    RunnerOptions runner;
    std::int64_t num_prompt = 512;     // tokens of a prefill, in one step at depth 0; 0 = none
    std::int64_t num_generated = 128;  // tokens of a decode, one sequence, greedy; 0 = none
    std::int64_t depth = 0;            // positions before the first decoded one
    int repeats = 5;
};

// One repetition, with the machine measured just before and after it (mean of the two).
struct BenchSample {
    double tokens_per_second = 0.0;
    double read_gb_per_second = 0.0;
    double peak_gflops = 0.0;
};

struct BenchResult {
    std::string backend;
    double seconds_to_first_token = 0.0;  // from opening the files to one token's logits
    std::vector<BenchSample> prefill;
    std::vector<BenchSample> decode;
    // As the backend counts them; 0 where it does not.
    double weight_bytes_per_token = 0.0;  // of decode
    double flops_per_prompt = 0.0;
};

// Errors as load_runner(), and kInvalidArgument for counts out of range.
Result<BenchResult> run_bench(const BenchOptions& options, const Clock& clock);

}  // namespace turnpike::engine
