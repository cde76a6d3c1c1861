// IncrementalDecoder: tokens to text as they come, never emitting broken UTF-8: an unfinished
// sequence is held back until it is complete; bytes that cannot become one come out as U+FFFD.
#pragma once

#include <string>
#include <string_view>

#include "engine/text/tokenizer.h"

namespace turnpike::engine::text {

// The text does not depend on how the bytes are split into tokens. `tokenizer` must outlive it.
class IncrementalDecoder {
  public:
    explicit IncrementalDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

    std::string push(TokenId token) { return push_bytes(tokenizer_.token_bytes(token)); }

    std::string push_bytes(std::string_view bytes);
    // At the end of the stream: what is still held back, as U+FFFD.
    std::string flush();

  private:
    const Tokenizer& tokenizer_;
    std::string held_;  // an unfinished sequence, at most three bytes
};

}  // namespace turnpike::engine::text
