// The chat template over any messages: template pieces are the known special tokens and nothing
// else, every special id of the prompt comes from such a piece, and no text is lost or made up.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "engine/text/chat_template.h"
#include "engine/text/special_tokens.h"
#include "engine/text/synth_tokenizer.h"
#include "tests/fuzz/target.h"

using namespace turnpike::engine;
using namespace turnpike::engine::text;
using turnpike::TokenId;
using turnpike::fuzz::Bytes;

namespace {

constexpr std::array kSpecials{special::kBos,
                               special::kEos,
                               special::kUser,
                               special::kAssistant,
                               special::kToolCallsBegin,
                               special::kToolCallsEnd,
                               special::kToolCallBegin,
                               special::kToolCallEnd,
                               special::kToolOutputsBegin,
                               special::kToolOutputsEnd,
                               special::kToolOutputBegin,
                               special::kToolOutputEnd,
                               special::kToolSep};

Tokenizer make_tokenizer() {
    const auto json = synthesize_tokenizer_json(600);
    CHECK(json);
    auto tokenizer = Tokenizer::parse(*json, "synthetic");
    CHECK(tokenizer);
    return std::move(*tokenizer);
}

// One byte says role and number of calls, pieces are the texts.
Message take_message(Bytes& input) {
    const std::uint8_t kind = input.byte();
    Message message;
    message.role = static_cast<Role>(kind % 4);
    message.content = input.piece();
    if (message.role != Role::kAssistant) return message;
    message.reasoning = input.piece();
    for (int i = 0; i < kind / 4 % 3; ++i) {
        message.tool_calls.push_back(
            {"id", std::string(input.piece()), std::string(input.piece())});
    }
    return message;
}

// Special tokens that the template did not write would be a forged turn.
void check_tokens(const Tokenizer& tokenizer, const std::vector<PromptPiece>& pieces) {
    std::size_t num_written = 0;
    for (const PromptPiece& piece : pieces) num_written += piece.is_template ? 1 : 0;
    std::vector<TokenId> special_ids;
    for (const std::string_view name : kSpecials)
        special_ids.push_back(*tokenizer.find_special(name));
    const std::vector<TokenId> tokens = encode_prompt(tokenizer, pieces);
    const auto is_special = [&](TokenId token) {
        return std::find(special_ids.begin(), special_ids.end(), token) != special_ids.end();
    };
    const auto num_found = std::count_if(tokens.begin(), tokens.end(), is_special);
    CHECK(static_cast<std::size_t>(num_found) == num_written);
    CHECK(tokenizer.decode(tokens) == to_text(pieces));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Tokenizer kTokenizer = make_tokenizer();
    Bytes input(turnpike::fuzz::text_of(data, size));
    const std::uint8_t options = input.byte();
    std::vector<Tool> tools;
    for (int i = 0; i < options / 2 % 3; ++i) tools.push_back({"t", std::string(input.piece())});
    std::vector<Message> messages;
    while (!input.is_empty()) messages.push_back(take_message(input));
    const auto pieces = render_chat(messages, tools, options % 2 == 0);
    CHECK(!pieces.empty() && pieces.front().text == special::kBos);
    for (const PromptPiece& piece : pieces) {
        CHECK(!piece.text.empty());
        const bool is_known =
            std::find(kSpecials.begin(), kSpecials.end(), piece.text) != kSpecials.end();
        CHECK(!piece.is_template || is_known);
    }
    const std::string text = to_text(pieces);
    for (const Message& message : messages) {
        if (message.role == Role::kAssistant) continue;
        CHECK(text.find(message.content) != std::string::npos);
    }
    CHECK(text.size() <= 2048 + 256 * messages.size() + 3 * size);
    check_tokens(kTokenizer, pieces);
    return 0;
}
