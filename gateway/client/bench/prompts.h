// The prompts of a load test: made up from a seed, or read from a file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/result.h"

namespace turnpike::gateway::client::bench {

enum class Route { kChat, kCompletions };

struct Prompt {
    std::string json;             // the value of `messages` (chat) or of `prompt`
    std::int64_t num_tokens = 0;  // as intended; 0 = not known
    std::int64_t max_tokens = 0;
};

struct SyntheticOptions {
    Route route = Route::kChat;
    std::size_t count = 1000;
    std::int64_t input_tokens = 1024;
    std::int64_t output_tokens = 128;
    // Both lengths are uniform within +- this share of themselves, at least 1.
    double range_ratio = 0.0;
    std::int64_t prefix_tokens = 0;  // the same for all of a seed, before the input
    // Of completions: prompts are token ids from 1 to below it, so that lengths are exact. 0: words
    // that are one token each to most tokenizers.
    std::int64_t vocab_size = 0;
    std::uint64_t seed = 0;
};

std::vector<Prompt> synthetic_prompts(const SyntheticOptions& options);

struct PromptFileOptions {
    Route route = Route::kChat;
    std::int64_t default_max_tokens = 128;
};

// One JSON object a line, `{"prompt": "…"}` or `{"messages": […]}`, either with `max_tokens` if it
// likes; empty lines are skipped. Errors name the line.
Result<std::vector<Prompt>> parse_prompts(std::string_view lines, const PromptFileOptions& options);

}  // namespace turnpike::gateway::client::bench
