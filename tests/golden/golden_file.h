// A golden: what an independent implementation made of a synthetic checkpoint, as the scripts in
// regenerate/ store it under data/; and the checkpoint made again.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/base/ids.h"
#include "engine/model/load.h"
#include "tests/support/temp_dir.h"

namespace turnpike::engine {

struct Golden {
    nlohmann::json about;
    std::vector<TokenId> tokens;
    std::vector<float> logits;  // [rows, vocab]
    std::size_t rows = 0;
    std::size_t first_row = 0;
    std::size_t vocab = 0;
    double deviation = 0.0;  // of the logits
    double tolerance = 0.0;
    bool is_draft = false;
    bool is_quantised = false;

    const char* numerics() const { return is_quantised ? "w8a8_block" : "w8a16"; }
};

// The insides of a golden's forward pass; regenerate/layers.py has the layout.
struct GoldenLayers {
    std::vector<std::vector<float>> hidden;  // per layer [rows.size(), width]
    std::vector<std::size_t> rows;           // positions
    std::vector<double> deviations;          // per layer
    std::size_t width = 0;
    std::size_t num_chosen = 0;
    std::vector<std::vector<std::int32_t>> experts;  // per MoE layer [positions, num_chosen]
    std::vector<std::vector<float>> weights;         // of those
    std::vector<std::vector<float>> gaps;            // per MoE layer [positions]
    double tolerance = 0.0;
};

// Files that are missing, too short or too long fail the running test.
Golden load_golden(const std::string& name);
GoldenLayers load_golden_layers(const std::string& name, const Golden& golden);

// The golden's checkpoint in temp, and options to load it on the scalar definition in the golden's
// numerics.
Result<RunnerOptions> make_golden_model(const Golden& golden, const test::TempDir& temp);

// The largest |a - b|; NaN when one is.
double largest_difference(const std::vector<float>& a, const std::vector<float>& b);
// sqrt(mean (a - b)^2) of the middle one of the rows [width].
double median_row_difference(const std::vector<float>& a,
                             const std::vector<float>& b,
                             std::size_t width);

// Of "avx2", "avx512", "avx512-bf16" and "cuda" those that this machine has.
std::vector<std::string> fast_instruction_sets();
// Whether the set rounds activations or the cache to BF16.
bool rounds_to_bf16(const std::string& isa);

}  // namespace turnpike::engine
