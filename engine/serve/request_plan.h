// RequestPlan: what one request asks of the engine: the sequences to run and how their answer
// looks. Pure functions of the body and the model; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/result.h"
#include "config/schema/model_card.h"
#include "engine/core/sequence.h"
#include "engine/model/load.h"
#include "engine/serve/generation.h"
#include "engine/text/tokenizer.h"

namespace turnpike::engine {

// The one model that an engine serves. What it refers to outlives it.
struct ServedModel {
    const schema::ModelCard& card;
    const ModelInfo& info;
    const text::Tokenizer& tokenizer;
    std::int64_t context_length = 0;  // of a sequence: card, checkpoint and KV cache allow it

    // Ids below this can be sampled.
    std::int32_t num_tokens() const;
    // kNotFound unless `name` is the card's id or one of its aliases.
    Status check_name(const std::string& name) const;
};

struct RequestPlan {
    // But for id, times and whether it is metered.
    GenerationOptions options;
    // One for each prompt; ids, priority and salt are the caller's.
    std::vector<SequenceSpec> prompts;
};

// `seed`: for a request without one. `takes_any_name`: the body's `model` does not matter.
// Errors name the field in `param`.
Result<RequestPlan> plan_chat(const ServedModel& model,
                              std::string_view body,
                              std::uint64_t seed,
                              bool takes_any_name);
Result<RequestPlan> plan_completion(const ServedModel& model,
                                    std::string_view body,
                                    std::uint64_t seed,
                                    bool takes_any_name);

}  // namespace turnpike::engine
