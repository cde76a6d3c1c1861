// Tokenizer: byte-level BPE as a tokenizer.json describes it. Text to token ids and back.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/ids.h"
#include "config/base/result.h"

namespace turnpike::engine::text {

enum class SpecialTokens {
    kMatch,  // added tokens are cut out of the text: for text that the server wrote
    kPlain,  // added tokens are ordinary text: for what users wrote, who must not forge a turn
};

// Immutable and thread-safe once loaded. Adds no begin or end token: templates write those.
class Tokenizer {
  public:
    // kCorrupt when the file breaks its format, kInvalidArgument when it asks for something that is
    // not supported (the message names it), kIo.
    static Result<Tokenizer> load(const std::string& tokenizer_json_path);
    static Result<Tokenizer> parse(std::string_view tokenizer_json, const std::string& file_name);
    ~Tokenizer();
    Tokenizer(Tokenizer&&) noexcept;
    Tokenizer& operator=(Tokenizer&&) noexcept;

    std::vector<TokenId> encode(std::string_view text, SpecialTokens mode) const;
    // The tokens' bytes, joined; broken UTF-8 stays broken (IncrementalDecoder mends it).
    std::string decode(std::span<const TokenId> tokens) const;
    // Empty for an id without a token.
    std::string_view token_bytes(TokenId token) const;
    std::optional<TokenId> find_special(std::string_view text) const;
    // One more than the largest id.
    std::int32_t vocab_size() const;

    struct Data;

  private:
    explicit Tokenizer(std::unique_ptr<const Data> data);
    std::unique_ptr<const Data> data_;
};

}  // namespace turnpike::engine::text
