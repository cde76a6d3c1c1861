// `turnpike-engine bench`: speeds beside the memory-read loop and the arithmetic peak of the same
// seconds, as JSON.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "config/base/clock.h"
#include "engine/model/bench.h"
#include "engine/serve/verbs.h"

namespace turnpike::engine {
namespace {

struct Spread {
    double median = 0.0;
    double min = 0.0;
    double max = 0.0;
};

template <class Value>
Spread spread_of(const std::vector<BenchSample>& samples, const Value& value) {
    std::vector<double> values;
    values.reserve(samples.size());
    for (const BenchSample& sample : samples) values.push_back(value(sample));
    std::sort(values.begin(), values.end());
    return {values[values.size() / 2], values.front(), values.back()};
}

// Three digits after the point are more than any of these is worth.
double rounded(double value) {
    return std::round(value * 1000.0) / 1000.0;
}

nlohmann::ordered_json to_json(const Spread& spread) {
    return {{"median", rounded(spread.median)},
            {"min", rounded(spread.min)},
            {"max", rounded(spread.max)}};
}

nlohmann::ordered_json decode_json(const BenchResult& result) {
    const auto rate = [](const BenchSample& sample) { return sample.tokens_per_second; };
    const auto bytes = [&](const BenchSample& sample) {
        return sample.tokens_per_second * result.weight_bytes_per_token / 1e9;
    };
    const auto read = [](const BenchSample& sample) { return sample.read_gb_per_second; };
    const auto ratio = [&](const BenchSample& sample) { return bytes(sample) / read(sample); };
    return {{"tokens_per_second", to_json(spread_of(result.decode, rate))},
            {"weight_mb_per_token", rounded(result.weight_bytes_per_token / 1e6)},
            {"weight_gb_per_second", to_json(spread_of(result.decode, bytes))},
            {"read_loop_gb_per_second", to_json(spread_of(result.decode, read))},
            {"of_read_loop", to_json(spread_of(result.decode, ratio))}};
}

nlohmann::ordered_json prefill_json(const BenchResult& result, std::int64_t num_prompt) {
    const auto rate = [](const BenchSample& sample) { return sample.tokens_per_second; };
    const auto gflops = [&](const BenchSample& sample) {
        return sample.tokens_per_second * result.flops_per_prompt /
               static_cast<double>(num_prompt) / 1e9;
    };
    const auto peak = [](const BenchSample& sample) { return sample.peak_gflops; };
    const auto ratio = [&](const BenchSample& sample) { return gflops(sample) / peak(sample); };
    return {{"tokens_per_second", to_json(spread_of(result.prefill, rate))},
            {"gflops", to_json(spread_of(result.prefill, gflops))},
            {"peak_gflops", to_json(spread_of(result.prefill, peak))},
            {"of_peak", to_json(spread_of(result.prefill, ratio))}};
}

}  // namespace

int bench(const BenchRequest& request) {
    BenchOptions options;
    options.runner.model_dir = request.model_dir;
    options.runner.isa = request.isa;
    options.runner.num_threads = request.num_threads;
    options.num_prompt = request.num_prompt;
    options.num_generated = request.num_generated;
    options.depth = request.depth;
    options.repeats = request.repeats;
    const auto result = run_bench(options, SystemClock());
    if (!result) return fail(result.error());
    nlohmann::ordered_json json{
        {"model", request.model_dir},
        {"backend", result->backend},
        {"threads", request.num_threads},
        {"repeats", request.repeats},
        {"seconds_to_first_token", rounded(result->seconds_to_first_token)}};
    if (!result->prefill.empty()) {
        json["prompt_tokens"] = request.num_prompt;
        json["prefill"] = prefill_json(*result, request.num_prompt);
    }
    if (!result->decode.empty()) {
        json["generated_tokens"] = request.num_generated;
        json["depth"] = request.depth;
        json["decode"] = decode_json(*result);
    }
    std::printf("%s\n", json.dump(2).c_str());
    return 0;
}

}  // namespace turnpike::engine
