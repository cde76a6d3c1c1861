#include "gateway/client/bench/request_body.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace turnpike::gateway::client::bench {

Result<BodyWriter> BodyWriter::make(const BodyOptions& options) {
    nlohmann::ordered_json body{{"model", options.model}, {"stream", options.streams}};
    if (options.streams) body["stream_options"] = {{"include_usage", true}};
    if (options.ignores_eos) body["ignore_eos"] = true;
    if (options.temperature) body["temperature"] = *options.temperature;
    if (!options.extra_json.empty()) {
        const auto extra = nlohmann::ordered_json::parse(options.extra_json, nullptr,
                                                         /*allow_exceptions=*/false);
        if (!extra.is_object())
            return invalid_argument("--extra-body: expected a JSON object such as {\"top_k\": 5}");
        body.update(extra);
    }
    std::string head = body.dump();
    head.pop_back();
    return BodyWriter(std::move(head), options.route == Route::kChat ? "messages" : "prompt");
}

std::string BodyWriter::write(const Prompt& prompt) const {
    return head_ + ",\"max_tokens\":" + std::to_string(prompt.max_tokens) + ",\"" + prompt_name_ +
           "\":" + prompt.json + "}";
}

}  // namespace turnpike::gateway::client::bench
