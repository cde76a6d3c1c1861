// Answers and chunks of any OpenAI-compatible server, for clients.
#include <nlohmann/json.hpp>

#include "engine/api/codec.h"

namespace turnpike::engine {
namespace {

using nlohmann::json;

std::string text_of(const json& object, const char* name) {
    const auto entry = object.find(name);
    return entry != object.end() && entry->is_string() ? entry->get<std::string>() : std::string();
}

std::int64_t integer_of(const json& object, const char* name) {
    const auto entry = object.find(name);
    return entry != object.end() && entry->is_number_integer() ? entry->get<std::int64_t>() : 0;
}

std::string reasoning_of(const json& object) {
    std::string reasoning = text_of(object, "reasoning");
    return reasoning.empty() ? text_of(object, "reasoning_content") : reasoning;
}

std::optional<FinishReason> finish_reason_of(const json& choice) {
    const std::string name = text_of(choice, "finish_reason");
    if (name.empty()) return {};
    if (name == "length") return FinishReason::kLength;
    return name == "tool_calls" ? FinishReason::kToolCalls : FinishReason::kStop;
}

std::optional<TokenUsage> usage_of(const json& object) {
    const auto entry = object.find("usage");
    if (entry == object.end() || !entry->is_object()) return {};
    const auto detail = [&](const char* group, const char* name) {
        const auto details = entry->find(group);
        const bool is_nested =
            details != entry->end() && details->is_object() && details->contains(name);
        return integer_of(is_nested ? *details : *entry, name);
    };
    return TokenUsage{integer_of(*entry, "prompt_tokens"),
                      detail("prompt_tokens_details", "cached_tokens"),
                      integer_of(*entry, "completion_tokens"),
                      detail("completion_tokens_details", "reasoning_tokens")};
}

// The object, unless it is none or carries an error.
Result<json> parse_body(std::string_view text) {
    json body = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (body.is_discarded() || !body.is_object()) {
        return Error{ErrorCode::kCorrupt, "expected a JSON object from the server", {}};
    }
    const auto error = body.find("error");
    if (error != body.end() && error->is_object()) {
        return Error{ErrorCode::kBadGateway, text_of(*error, "message"), text_of(*error, "param")};
    }
    return body;
}

const json& choices_of(const json& body) {
    static const json kNone = json::array();
    const auto choices = body.find("choices");
    return choices != body.end() && choices->is_array() ? *choices : kNone;
}

const json& object_of(const json& parent, const char* name) {
    static const json kNone = json::object();
    const auto entry = parent.find(name);
    return entry != parent.end() && entry->is_object() ? *entry : kNone;
}

}  // namespace

Result<Chunk> parse_chat_chunk(std::string_view text) {
    const auto body = parse_body(text);
    RETURN_IF_ERROR(body);
    Chunk chunk;
    chunk.id = text_of(*body, "id");
    chunk.created_unix_s = integer_of(*body, "created");
    chunk.model = text_of(*body, "model");
    for (const json& choice : choices_of(*body)) {
        const json& delta = object_of(choice, "delta");
        chunk.choices.push_back({static_cast<std::int32_t>(integer_of(choice, "index")),
                                 text_of(delta, "content"), reasoning_of(delta),
                                 finish_reason_of(choice)});
    }
    chunk.usage = usage_of(*body);
    return chunk;
}

Result<Answer> parse_chat_answer(std::string_view text) {
    const auto body = parse_body(text);
    RETURN_IF_ERROR(body);
    Answer answer;
    answer.id = text_of(*body, "id");
    answer.created_unix_s = integer_of(*body, "created");
    answer.model = text_of(*body, "model");
    for (const json& entry : choices_of(*body)) {
        const json& message = object_of(entry, "message");
        Choice choice;
        choice.index = static_cast<std::int32_t>(integer_of(entry, "index"));
        choice.text = text_of(message, "content");
        if (std::string reasoning = reasoning_of(message); !reasoning.empty())
            choice.reasoning = std::move(reasoning);
        choice.finish_reason = finish_reason_of(entry).value_or(FinishReason::kStop);
        answer.choices.push_back(std::move(choice));
    }
    answer.usage = usage_of(*body).value_or(TokenUsage());
    return answer;
}

}  // namespace turnpike::engine
