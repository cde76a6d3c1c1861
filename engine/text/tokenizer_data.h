// The parsed contents of a tokenizer.json. Private to engine/text.
#pragma once

#include "engine/text/bpe.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/special_tokens.h"
#include "engine/text/tokenizer.h"

namespace turnpike::engine::text {

struct Tokenizer::Data {
    std::vector<std::string> bytes_of;  // by token id
    AddedTokens added;                  // found in the text as it is
    AddedTokens added_normalized;       // found in what `added` leaves, normalised
    PreTokenizer pre_tokenizer;
    std::optional<Bpe> bpe;
    bool normalizes_nfc = false;
};

Result<std::unique_ptr<Tokenizer::Data>> read_tokenizer(std::string_view json_text,
                                                        const std::string& file_name);

}  // namespace turnpike::engine::text
