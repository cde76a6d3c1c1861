#include "engine/serve/tokenize_routes.h"

#include <utility>

#include "engine/api/tokenize.h"
#include "engine/text/chat_template.h"
#include "engine/text/incremental_decoder.h"

namespace turnpike::engine {
namespace {

std::vector<TokenId> tokens_of(const ServedModel& model, const TokenizeRequest& request) {
    if (const auto* chat = std::get_if<ChatRequest>(&request.input)) {
        return text::encode_prompt(
            model.tokenizer,
            text::render_chat(chat->messages, chat->tools, request.add_generation_prompt));
    }
    auto tokens =
        model.tokenizer.encode(std::get<std::string>(request.input), text::SpecialTokens::kPlain);
    if (request.add_special_tokens) tokens.insert(tokens.begin(), model.info.bos_token);
    return tokens;
}

}  // namespace

Result<std::string> tokenize_body(const ServedModel& model, std::string_view body) {
    const auto request = parse_tokenize_request(body);
    RETURN_IF_ERROR(request);
    if (!request->model.empty()) RETURN_IF_ERROR(model.check_name(request->model));
    TokenizeAnswer answer;
    answer.tokens = tokens_of(model, *request);
    answer.max_model_len = model.context_length;
    if (request->return_token_strs) {
        answer.token_strs.emplace();
        for (const TokenId token : answer.tokens)
            answer.token_strs->emplace_back(model.tokenizer.token_bytes(token));
    }
    return write_tokenize_answer(answer);
}

Result<std::string> detokenize_body(const ServedModel& model, std::string_view body) {
    const auto request = parse_detokenize_request(body);
    RETURN_IF_ERROR(request);
    if (!request->model.empty()) RETURN_IF_ERROR(model.check_name(request->model));
    for (const TokenId token : request->tokens) {
        if (token < model.tokenizer.vocab_size()) continue;
        return invalid_argument("'tokens': expected ids below " +
                                    std::to_string(model.tokenizer.vocab_size()) + ", found " +
                                    std::to_string(token),
                                "tokens");
    }
    text::IncrementalDecoder decoder(model.tokenizer);
    std::string text = decoder.push_bytes(model.tokenizer.decode(request->tokens));
    return write_detokenize_answer(text + decoder.flush());
}

}  // namespace turnpike::engine
