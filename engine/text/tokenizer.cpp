#include "engine/text/tokenizer.h"

#include <utf8proc.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "engine/text/tokenizer_data.h"

namespace turnpike::engine::text {
namespace {

// Unicode's NFC; text that is not UTF-8 stays as it is.
std::string to_nfc(std::string_view text) {
    utf8proc_uint8_t* mapped = nullptr;
    const auto length =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                     static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                     static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
    if (length < 0) return std::string(text);
    return std::string(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(length));
}

void encode_plain(const Tokenizer::Data& data, std::string_view text, std::vector<TokenId>& out) {
    if (text.empty()) return;
    std::string normalized;
    if (data.normalizes_nfc) {
        normalized = to_nfc(text);
        text = normalized;
    }
    data.pre_tokenizer.split(text, [&](std::string_view piece) { data.bpe->encode(piece, out); });
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Data> data) : data_(std::move(data)) {}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Result<Tokenizer> Tokenizer::parse(std::string_view tokenizer_json, const std::string& file_name) {
    auto data = read_tokenizer(tokenizer_json, file_name);
    RETURN_IF_ERROR(data);
    return Tokenizer(std::move(*data));
}

Result<Tokenizer> Tokenizer::load(const std::string& tokenizer_json_path) {
    std::ifstream file(tokenizer_json_path, std::ios::binary);
    if (!file) return errno_error("cannot open tokenizer " + tokenizer_json_path);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    return parse(text, tokenizer_json_path);
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, SpecialTokens mode) const {
    std::vector<TokenId> tokens;
    std::size_t begin = 0;
    while (mode == SpecialTokens::kMatch) {
        const auto match = data_->added.next(text, begin);
        if (!match) break;
        encode_plain(*data_, text.substr(begin, match->begin - begin), tokens);
        tokens.push_back(match->token);
        begin = match->begin + match->length;
    }
    encode_plain(*data_, text.substr(begin), tokens);
    return tokens;
}

std::string Tokenizer::decode(std::span<const TokenId> tokens) const {
    std::string text;
    for (const TokenId token : tokens) text += token_bytes(token);
    return text;
}

std::string_view Tokenizer::token_bytes(TokenId token) const {
    if (token < 0 || token >= vocab_size()) return {};
    return data_->bytes_of[static_cast<std::size_t>(token)];
}

std::optional<TokenId> Tokenizer::find_special(std::string_view text) const {
    return data_->added.find(text);
}

std::int32_t Tokenizer::vocab_size() const {
    return static_cast<std::int32_t>(data_->bytes_of.size());
}

}  // namespace turnpike::engine::text
