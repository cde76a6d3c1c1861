#include "engine/text/tokenizer.h"

#include <utility>

#include "config/base/read_file.h"
#include "engine/text/normalizer.h"
#include "engine/text/tokenizer_data.h"
#include "engine/text/utf8.h"

namespace turnpike::engine::text {
namespace {

// One encode() call: its output and buffers.
class Encoder {
  public:
    explicit Encoder(const Tokenizer::Data& data) : data_(data) {}

    void add(std::string_view text, bool finds_added) {
        if (!finds_added) return add_plain(text);
        cut(data_.added, text, [this](std::string_view gap) {
            const std::string normal = normalized(gap);
            cut(data_.added_normalized, normal,
                [this](std::string_view rest) { add_pieces(rest); });
        });
    }

    std::vector<TokenId> take() { return std::move(tokens_); }

  private:
    template <class OnGap>
    void cut(const AddedTokens& added, std::string_view text, OnGap on_gap) {
        std::size_t begin = 0;
        while (const auto match = added.next(text, begin)) {
            on_gap(text.substr(begin, match->begin - begin));
            tokens_.push_back(match->token);
            begin = match->begin + match->length;
        }
        on_gap(text.substr(begin));
    }

    // Text that is not UTF-8 has no normal form and stays as it is.
    std::string normalized(std::string_view text) const {
        const bool is_mapped = data_.normalizes_nfc && valid_utf8_prefix(text) == text.size();
        return is_mapped ? to_nfc(text) : std::string(text);
    }

    void add_plain(std::string_view text) {
        if (!data_.normalizes_nfc) return add_pieces(text);
        add_pieces(normalized(text));
    }

    void add_pieces(std::string_view text) {
        for (const std::string_view piece : data_.pre_tokenizer.split(text))
            data_.bpe->encode(piece, data_.bytes_of, workspace_, tokens_);
    }

    const Tokenizer::Data& data_;
    Bpe::Workspace workspace_;
    std::vector<TokenId> tokens_;
};

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
    const auto text = read_file("tokenizer", tokenizer_json_path);
    RETURN_IF_ERROR(text);
    return parse(*text, tokenizer_json_path);
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, SpecialTokens mode) const {
    Encoder encoder(*data_);
    encoder.add(text, mode == SpecialTokens::kMatch);
    return encoder.take();
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
    const auto token = data_->added.find(text);
    return token ? token : data_->added_normalized.find(text);
}

std::int32_t Tokenizer::vocab_size() const {
    return static_cast<std::int32_t>(data_->bytes_of.size());
}

}  // namespace turnpike::engine::text
