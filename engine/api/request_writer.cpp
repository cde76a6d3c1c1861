// Typed requests to JSON, for clients. Unset fields are left out.
#include <nlohmann/json.hpp>

#include "config/base/check.h"
#include "engine/api/codec.h"

namespace turnpike::engine {
namespace {

using nlohmann::json;

template <class T>
void put(json& body, const char* name, const std::optional<T>& value) {
    if (value) body[name] = *value;
}

json common(const CommonRequest& request) {
    json body{{"model", request.model}};
    put(body, "max_tokens", request.max_tokens);
    if (request.min_tokens > 0) body["min_tokens"] = request.min_tokens;
    if (request.truncates_max_tokens) body["context_length_exceeded_behavior"] = "truncate";
    put(body, "temperature", request.temperature);
    put(body, "top_p", request.top_p);
    put(body, "top_k", request.top_k);
    put(body, "min_p", request.min_p);
    put(body, "repetition_penalty", request.repetition_penalty);
    put(body, "presence_penalty", request.presence_penalty);
    put(body, "frequency_penalty", request.frequency_penalty);
    put(body, "seed", request.seed);
    for (const auto& [token, bias] : request.logit_bias)
        body["logit_bias"][std::to_string(token)] = bias;
    if (request.n != 1) body["n"] = request.n;
    if (!request.stop.empty()) body["stop"] = request.stop;
    if (request.stream) body["stream"] = true;
    if (request.include_usage) body["stream_options"] = {{"include_usage", true}};
    if (request.wants_cost) body["usage"] = {{"include", true}};
    if (request.top_logprobs && request.logprobs_shape == LogprobsShape::kArrays) {
        body["logprobs"] = *request.top_logprobs;
    } else if (request.top_logprobs) {
        body["logprobs"] = true;
        body["top_logprobs"] = *request.top_logprobs;
    }
    if (request.echo) body["echo"] = true;
    if (request.ignore_eos) body["ignore_eos"] = true;
    return body;
}

const char* role_name(Role role) {
    switch (role) {
        case Role::kSystem:
            return "system";
        case Role::kUser:
            return "user";
        case Role::kAssistant:
            return "assistant";
        case Role::kTool:
            return "tool";
    }
    CHECK(false && "unknown Role");
}

json to_json(const Message& message) {
    json object{{"role", role_name(message.role)}, {"content", message.content}};
    if (!message.reasoning.empty()) object["reasoning"] = message.reasoning;
    for (const ToolCall& call : message.tool_calls) {
        object["tool_calls"].push_back(
            {{"id", call.id},
             {"type", "function"},
             {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    }
    if (!message.tool_call_id.empty()) object["tool_call_id"] = message.tool_call_id;
    return object;
}

}  // namespace

std::string write_chat_request(const ChatRequest& request) {
    json body = common(request);
    body["messages"] = json::array();
    for (const Message& message : request.messages) body["messages"].push_back(to_json(message));
    for (const Tool& tool : request.tools) body["tools"].push_back(json::parse(tool.json));
    switch (request.reasoning_format) {
        case ReasoningFormat::kDefault:
            break;
        case ReasoningFormat::kSeparate:
            body["reasoning_format"] = "separate";
            break;
        case ReasoningFormat::kInline:
            body["reasoning_format"] = "inline";
            break;
        case ReasoningFormat::kHidden:
            body["reasoning_format"] = "hidden";
            break;
    }
    return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string write_completion_request(const CompletionRequest& request) {
    json body = common(request);
    std::visit([&](const auto& prompt) { body["prompt"] = prompt; }, request.prompt);
    return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace turnpike::engine
