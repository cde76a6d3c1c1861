// Answers and chunks of any OpenAI-compatible server, for clients.
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/api/codec.h"

namespace turnpike::engine {
namespace {

using nlohmann::json;

// Beyond any context, and sums of such counts fit.
constexpr std::int64_t kMaxTokens = 1'000'000'000'000;

std::string text_of(const json& object, const char* name) {
    const auto entry = object.find(name);
    return entry != object.end() && entry->is_string() ? entry->get<std::string>() : std::string();
}

// 0 for what is no integer from 0 to `high`.
std::int64_t count_of(const json& object, const char* name, std::int64_t high) {
    const auto entry = object.find(name);
    if (entry == object.end() || !entry->is_number_unsigned()) return 0;
    const auto count = entry->get<std::uint64_t>();
    return count <= static_cast<std::uint64_t>(high) ? static_cast<std::int64_t>(count) : 0;
}

std::int64_t time_of(const json& object) {
    return count_of(object, "created", std::numeric_limits<std::int64_t>::max());
}

std::int32_t index_of(const json& choice) {
    return static_cast<std::int32_t>(
        count_of(choice, "index", std::numeric_limits<std::int32_t>::max()));
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
        return count_of(is_nested ? *details : *entry, name, kMaxTokens);
    };
    return TokenUsage{count_of(*entry, "prompt_tokens", kMaxTokens),
                      detail("prompt_tokens_details", "cached_tokens"),
                      count_of(*entry, "completion_tokens", kMaxTokens),
                      detail("completion_tokens_details", "reasoning_tokens")};
}

// The object, unless it is none or carries an error.
Result<json> parse_body(std::string_view text) {
    json body = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (body.is_discarded() || !body.is_object()) {
        return Error{ErrorCode::kCorrupt, "expected a JSON object from the server", {}};
    }
    const auto error = body.find("error");
    if (error == body.end() || error->is_null()) return body;
    // Some servers send a bare text.
    std::string message =
        error->is_string() ? error->get<std::string>() : text_of(*error, "message");
    if (message.empty()) message = "the server reports an error without saying which";
    return Error{ErrorCode::kBadGateway, std::move(message), text_of(*error, "param")};
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
    chunk.created_unix_s = time_of(*body);
    chunk.model = text_of(*body, "model");
    for (const json& choice : choices_of(*body)) {
        const json& delta = object_of(choice, "delta");
        chunk.choices.push_back({index_of(choice), text_of(delta, "content"), reasoning_of(delta),
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
    answer.created_unix_s = time_of(*body);
    answer.model = text_of(*body, "model");
    for (const json& entry : choices_of(*body)) {
        const json& message = object_of(entry, "message");
        Choice choice;
        choice.index = index_of(entry);
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
