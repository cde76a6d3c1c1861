// The JSON bodies of a load test's requests.
#pragma once

#include <optional>
#include <string>

#include "config/base/result.h"
#include "gateway/client/bench/prompts.h"

namespace turnpike::gateway::client::bench {

struct BodyOptions {
    Route route = Route::kChat;
    std::string model;
    bool streams = true;
    bool ignores_eos = false;  // a field of vLLM, SGLang and this engine
    std::optional<double> temperature;
    std::string extra_json;  // an object whose fields are added or win; empty: none
};

class BodyWriter {
  public:
    // kInvalidArgument: extra_json is no object.
    static Result<BodyWriter> make(const BodyOptions& options);

    std::string write(const Prompt& prompt) const;

  private:
    BodyWriter(std::string head, std::string prompt_name)
        : head_(std::move(head)), prompt_name_(std::move(prompt_name)) {}

    std::string head_;  // the fields that all have, without the closing brace
    std::string prompt_name_;
};

}  // namespace turnpike::gateway::client::bench
