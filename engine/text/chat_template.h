// The chat template of DeepSeek-R1-0528 as code. Its output is pieces, so that what users wrote is
// encoded with special-token matching off and nobody can forge a turn or a thought.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/api/request.h"
#include "engine/text/tokenizer.h"

namespace turnpike::engine::text {

struct PromptPiece {
    std::string text;
    bool is_template = false;  // one special token, written by the template
};

// Follows the public template case by case: system messages are joined by an empty line wherever
// they stand; every user message opens the assistant's turn; of an assistant's text only what
// follows its last
// "</think>" is kept; after tool results the model goes on without a new turn. Where the public
// template breaks (an empty tool_calls list, a user message right after tool results, tool results
// without calls), the pieces are closed as the format means them. Tool definitions are appended to
// the system text. With `add_generation_prompt` the prompt ends where the assistant begins.
std::vector<PromptPiece> render_chat(std::span<const Message> messages,
                                     std::span<const Tool> tools,
                                     bool add_generation_prompt = true);

// Adjacent plain pieces are encoded as one text, so that pieces do not change the tokens. So is a
// special token that the tokenizer does not have.
std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, std::span<const PromptPiece> pieces);

// The pieces as one text, for people.
std::string to_text(std::span<const PromptPiece> pieces);

}  // namespace turnpike::engine::text
