// Encoding and decoding of any bytes: decode(encode(x)) is x, whatever x is; the incremental
// decoder emits whole characters only, and in sum the same text however the bytes are split.
#include <string>
#include <vector>

#include "engine/text/incremental_decoder.h"
#include "engine/text/synth_tokenizer.h"
#include "engine/text/tokenizer.h"
#include "engine/text/utf8.h"
#include "tests/fuzz/target.h"

using namespace turnpike::engine::text;
using turnpike::TokenId;

namespace {

Tokenizer make_tokenizer() {
    const auto json = synthesize_tokenizer_json(1024);
    CHECK(json);
    auto tokenizer = Tokenizer::parse(*json, "synthetic");
    CHECK(tokenizer);
    return std::move(*tokenizer);
}

bool is_utf8(std::string_view text) {
    return valid_utf8_prefix(text) == text.size();
}

// What the tokens' bytes are as text, token by token.
std::string mended(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
    IncrementalDecoder decoder(tokenizer);
    std::string text;
    for (const TokenId token : tokens) {
        const std::string more = decoder.push(token);
        CHECK(is_utf8(more));
        text += more;
    }
    const std::string last = decoder.flush();
    CHECK(is_utf8(last));
    return text + last;
}

std::string mended_at_once(const Tokenizer& tokenizer, std::string_view bytes) {
    IncrementalDecoder decoder(tokenizer);
    const std::string text = decoder.push_bytes(bytes);
    return text + decoder.flush();
}

void check_text(const Tokenizer& tokenizer, std::string_view text, SpecialTokens mode) {
    const std::vector<TokenId> tokens = tokenizer.encode(text, mode);
    CHECK(tokens.size() <= text.size());
    CHECK(tokenizer.decode(tokens) == text);
    const std::string shown = mended(tokenizer, tokens);
    if (is_utf8(text)) CHECK(shown == text);
    CHECK(mended_at_once(tokenizer, text) == shown);
}

// Any ids, known or not.
void check_ids(const Tokenizer& tokenizer, std::string_view bytes) {
    std::vector<TokenId> tokens;
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
        const int low = static_cast<unsigned char>(bytes[i]);
        const int byte = static_cast<unsigned char>(bytes[i + 1]);
        const int high = byte < 128 ? byte : byte - 256;  // ids below 0 too
        tokens.push_back(static_cast<TokenId>(high * 16 + low));
    }
    CHECK(mended(tokenizer, tokens) == mended_at_once(tokenizer, tokenizer.decode(tokens)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Tokenizer kTokenizer = make_tokenizer();
    const auto text = turnpike::fuzz::text_of(data, size);
    check_text(kTokenizer, text, SpecialTokens::kPlain);
    check_text(kTokenizer, text, SpecialTokens::kMatch);
    check_ids(kTokenizer, text);
    return 0;
}
