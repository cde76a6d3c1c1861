// tokenizer.json: refused by name, or a tokenizer that gives back the bytes of whatever it encodes.
#include <string>

#include "engine/text/normalizer.h"
#include "engine/text/tokenizer.h"
#include "engine/text/utf8.h"
#include "tests/fuzz/target.h"

using turnpike::ErrorCode;
using turnpike::engine::text::SpecialTokens;
using turnpike::engine::text::Tokenizer;

namespace {

// Short, since the file chooses the regular expressions: letters, digits, spaces, a combining mark,
// an emoji, a broken byte.
constexpr std::string_view kTexts[] = {"ab  b\n1", "e\xCC\x81 \xF0\x9F\x98\x80", "a\xFFz", ""};

bool is_utf8(std::string_view text) {
    return turnpike::engine::text::valid_utf8_prefix(text) == text.size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto tokenizer = Tokenizer::parse(turnpike::fuzz::text_of(data, size), "f");
    if (!tokenizer) {
        turnpike::fuzz::check_error(tokenizer.error(),
                                    {ErrorCode::kCorrupt, ErrorCode::kInvalidArgument});
        CHECK(tokenizer.error().message.starts_with("f: "));
        return 0;
    }
    for (const std::string_view text : kTexts) {
        const auto tokens = tokenizer->encode(text, SpecialTokens::kPlain);
        CHECK(tokens.size() <= text.size());
        for (const auto token : tokens) CHECK(token >= 0 && token < tokenizer->vocab_size());
        const std::string back = tokenizer->decode(tokens);
        CHECK(back == text || (is_utf8(text) && back == turnpike::engine::text::to_nfc(text)));
        (void)tokenizer->encode(text, SpecialTokens::kMatch);
    }
    return 0;
}
