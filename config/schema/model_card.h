// ModelCard: what the platform says about a model, beside the checkpoint's own config.json. One
// JSON file per model under config/files/models; unknown keys are refused.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/base/money.h"
#include "config/base/result.h"

namespace turnpike::schema {

enum class ReasoningParser { kNone, kDeepseekR1 };
enum class ReasoningStyle { kSeparate, kInline };
enum class Numerics { kW8A16, kW8A8Block };

// A published result of the model, as its authors gave it.
struct Benchmark {
    std::string name;
    double score = 0.0;
};

struct ModelCard {
    std::string id;  // "deepseek-ai/DeepSeek-R1-0528"
    std::string display_name;
    std::string organization;  // who made it
    std::string licence;
    std::string description;
    std::int64_t parameters = 0;       // 0 = not said
    std::string quantization;          // of the weights: "fp8", "bf16"; empty = not said
    std::vector<std::string> aliases;  // other names that people know it by
    std::vector<Benchmark> benchmarks;
    std::int64_t context_length = 0;      // served, at most the checkpoint's
    std::int64_t default_max_tokens = 0;  // R1 32,768; small test models 128
    std::int64_t max_max_tokens = 0;
    float default_temperature = 1.0F;
    float default_top_p = 1.0F;
    ReasoningParser reasoning = ReasoningParser::kNone;
    ReasoningStyle reasoning_style = ReasoningStyle::kSeparate;
    Numerics numerics = Numerics::kW8A16;
    // Without prices a card describes a model that cannot be billed, and so has no public name.
    bool has_prices = false;
    NanoUsd input_nano_usd;  // per token; written in the file as USD per million
    NanoUsd cached_input_nano_usd;
    NanoUsd output_nano_usd;
};

Result<ModelCard> parse_model_card(std::string_view json_text, std::string_view file_name);
Result<ModelCard> load_model_card(const std::string& path);

}  // namespace turnpike::schema
