#include "engine/api/tokenize.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/api/codec.h"
#include "engine/api/json_text.h"

namespace turnpike::engine {
namespace {

using nlohmann::json;

Error expected(const char* name, const char* what) {
    return invalid_argument("'" + std::string(name) + "': expected " + what, name);
}

Result<json> read_object(std::string_view body) {
    json object = json::parse(body, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object()) return invalid_argument("the body: expected a JSON object");
    return object;
}

// Absent and null leave `value` as it is.
Status read_flag(const json& object, const char* name, bool& value) {
    const auto entry = object.find(name);
    if (entry == object.end() || entry->is_null()) return {};
    if (!entry->is_boolean()) return expected(name, "a boolean");
    value = entry->get<bool>();
    return {};
}

Status read_model(const json& object, std::string& model) {
    const auto entry = object.find("model");
    if (entry == object.end() || entry->is_null()) return {};
    if (!entry->is_string()) return expected("model", "a string");
    model = entry->get<std::string>();
    return {};
}

}  // namespace

Result<TokenizeRequest> parse_tokenize_request(std::string_view body) {
    auto object = read_object(body);
    RETURN_IF_ERROR(object);
    TokenizeRequest request;
    RETURN_IF_ERROR(read_model(*object, request.model));
    RETURN_IF_ERROR(read_flag(*object, "add_special_tokens", request.add_special_tokens));
    RETURN_IF_ERROR(read_flag(*object, "add_generation_prompt", request.add_generation_prompt));
    RETURN_IF_ERROR(read_flag(*object, "return_token_strs", request.return_token_strs));
    if (object->contains("messages")) {
        // The chat's parser wants a name, which does not matter here.
        if (request.model.empty()) (*object)["model"] = "any";
        const std::string chat = object->dump(-1, ' ', false, json::error_handler_t::replace);
        auto parsed = parse_chat_request(chat);
        RETURN_IF_ERROR(parsed);
        request.input = std::move(*parsed);
        return request;
    }
    const auto prompt = object->find("prompt");
    if (prompt == object->end() || !prompt->is_string())
        return expected("prompt", "a string, or 'messages' in its place");
    request.input = prompt->get<std::string>();
    return request;
}

Result<DetokenizeRequest> parse_detokenize_request(std::string_view body) {
    const auto object = read_object(body);
    RETURN_IF_ERROR(object);
    DetokenizeRequest request;
    RETURN_IF_ERROR(read_model(*object, request.model));
    const auto tokens = object->find("tokens");
    if (tokens == object->end() || !tokens->is_array())
        return expected("tokens", "an array of token ids");
    for (const json& entry : *tokens) {
        const bool is_id = entry.is_number_unsigned() &&
                           entry.get<std::uint64_t>() <=
                               static_cast<std::uint64_t>(std::numeric_limits<TokenId>::max());
        if (!is_id) return expected("tokens", "an array of token ids");
        request.tokens.push_back(entry.get<TokenId>());
    }
    return request;
}

std::string write_tokenize_answer(const TokenizeAnswer& answer) {
    std::string out = "{";
    append_member(out, "count", static_cast<long long>(answer.tokens.size()));
    append_member(out, "max_model_len", answer.max_model_len);
    append_raw_member(out, "tokens", json(answer.tokens).dump());
    if (!answer.token_strs) {
        append_raw_member(out, "token_strs", "null");
        return out + "}";
    }
    append_name(out, "token_strs");
    out += '[';
    for (std::size_t i = 0; i < answer.token_strs->size(); ++i) {
        if (i > 0) out += ',';
        append_json_string(out, spell_out((*answer.token_strs)[i]));
    }
    return out + "]}";
}

std::string write_detokenize_answer(std::string_view text) {
    std::string out = "{";
    append_member(out, "prompt", text);
    return out + "}";
}

}  // namespace turnpike::engine
