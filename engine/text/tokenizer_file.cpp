// Reads tokenizer.json (the format of Hugging Face's tokenizers). What is not supported is refused
// by name: a tokenizer that is almost right would be wrong in silence.
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/text/byte_level.h"
#include "engine/text/normalizer.h"
#include "engine/text/tokenizer_data.h"

namespace turnpike::engine::text {
namespace {

using nlohmann::json;

constexpr int kMaxNesting = 8;           // of sequences; files in use have one
constexpr TokenId kMaxTokens = 1 << 22;  // over thirty times the largest vocabulary in use

class Reader {
  public:
    Reader(const json& file, std::string file_name)
        : file_(file),
          file_name_(std::move(file_name)),
          data_(std::make_unique<Tokenizer::Data>()) {}

    Result<std::unique_ptr<Tokenizer::Data>> read() {
        RETURN_IF_ERROR(read_model_flags());
        RETURN_IF_ERROR(read_normalizer(member(file_, "normalizer")));
        RETURN_IF_ERROR(read_pre_tokenizer(member(file_, "pre_tokenizer")));
        RETURN_IF_ERROR(require_byte_level(member(file_, "decoder"), "decoder"));
        RETURN_IF_ERROR(read_vocabulary());
        RETURN_IF_ERROR(read_merges());
        RETURN_IF_ERROR(read_added_tokens());
        return std::move(data_);
    }

  private:
    static const json& member(const json& object, const char* name) {
        static const json kNull;
        if (!object.is_object()) return kNull;
        const auto entry = object.find(name);
        return entry == object.end() ? kNull : *entry;
    }

    static std::string type_of(const json& object) {
        const json& type = member(object, "type");
        return type.is_string() ? type.get<std::string>() : "none";
    }

    Error unsupported(const std::string& what) const {
        return invalid_argument(file_name_ + ": " + excerpt(what, 200) + " is not supported");
    }

    Error corrupt(const std::string& what) const {
        return Error{ErrorCode::kCorrupt, file_name_ + ": " + what, {}};
    }

    Status read_model_flags() const {
        const json& model = member(file_, "model");
        if (type_of(model) != "BPE")
            return unsupported("a model of type " + type_of(model) + " (BPE is)");
        for (const char* name :
             {"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"}) {
            const json& value = member(model, name);
            const bool is_empty = value.is_string() && value.get_ref<const std::string&>().empty();
            if (!value.is_null() && !is_empty) return unsupported(std::string("model.") + name);
        }
        for (const char* name : {"byte_fallback", "ignore_merges"}) {
            if (member(model, name) == true) return unsupported(std::string("model.") + name);
        }
        return {};
    }

    Status read_normalizer(const json& normalizer, int depth = 0) {
        if (depth > kMaxNesting) return unsupported("a deeper nesting of normalizers");
        if (normalizer.is_null()) return {};
        if (type_of(normalizer) == "NFC") {
            data_->normalizes_nfc = true;
            return {};
        }
        if (type_of(normalizer) != "Sequence")
            return unsupported("a normalizer of type " + type_of(normalizer));
        for (const json& part : member(normalizer, "normalizers"))
            RETURN_IF_ERROR(read_normalizer(part, depth + 1));
        return {};
    }

    Status read_pre_tokenizer(const json& part, int depth = 0) {
        if (depth > kMaxNesting) return unsupported("a deeper nesting of pre-tokenizers");
        const std::string type = type_of(part);
        if (type == "Sequence") {
            for (const json& inner : member(part, "pretokenizers"))
                RETURN_IF_ERROR(read_pre_tokenizer(inner, depth + 1));
            return {};
        }
        if (type == "Split") return read_split(part);
        if (type != "ByteLevel") return unsupported("a pre-tokenizer of type " + type);
        if (member(part, "add_prefix_space") == true) return unsupported("add_prefix_space");
        if (member(part, "use_regex") != false) return unsupported("ByteLevel with use_regex");
        return {};
    }

    Status read_split(const json& split) {
        if (member(split, "behavior") != "Isolated" || member(split, "invert") == true) {
            return unsupported("a Split that is not Isolated");
        }
        const json& pattern = member(member(split, "pattern"), "Regex");
        if (!pattern.is_string()) return unsupported("a Split without a Regex");
        if (const Status status = data_->pre_tokenizer.add_split(pattern.get<std::string>());
            !status) {
            return Error{status.error().code, file_name_ + ": " + status.error().message, {}};
        }
        return {};
    }

    Status require_byte_level(const json& decoder, const char* what) const {
        if (type_of(decoder) == "ByteLevel") return {};
        return unsupported(std::string("a ") + what + " of type " + type_of(decoder));
    }

    // An added token may stand in the vocabulary too, as the same bytes. Anything else under one id
    // would decode to other text than was encoded.
    Status place(TokenId id, std::string bytes) {
        const auto index = static_cast<std::size_t>(id);
        if (index >= data_->bytes_of.size()) {
            data_->bytes_of.resize(index + 1);
            is_placed_.resize(index + 1);
        }
        if (is_placed_[index] && data_->bytes_of[index] != bytes) {
            return corrupt("the id " + std::to_string(id) +
                           " is given to two tokens, the second '" + excerpt(bytes) + "'");
        }
        data_->bytes_of[index] = std::move(bytes);
        is_placed_[index] = true;
        return {};
    }

    static bool is_id(const json& value) {
        return value.is_number_integer() && value.get<std::int64_t>() >= 0 &&
               value.get<std::int64_t>() < kMaxTokens;
    }

    auto find_byte(char byte) const { return ids_.find(to_byte_level({&byte, 1})); }

    Status read_vocabulary() {
        const json& vocabulary = member(member(file_, "model"), "vocab");
        if (!vocabulary.is_object()) return corrupt("model.vocab is missing");
        ids_.reserve(vocabulary.size());
        for (auto entry = vocabulary.begin(); entry != vocabulary.end(); ++entry) {
            const std::string& text = entry.key();
            const json& id = entry.value();
            if (!is_id(id)) return corrupt("the id of '" + excerpt(text) + "' is no token id");
            const auto token = id.get<TokenId>();
            ids_.emplace(text, token);
            // Added tokens stand in the vocabulary too, not in the byte-level alphabet.
            auto bytes = from_byte_level(text);
            RETURN_IF_ERROR(place(token, bytes ? *bytes : text));
        }
        std::array<TokenId, 256> byte_tokens{};
        for (std::size_t byte = 0; byte < byte_tokens.size(); ++byte) {
            const auto entry = find_byte(static_cast<char>(byte));
            if (entry == ids_.end()) return corrupt("no token for byte " + std::to_string(byte));
            byte_tokens[byte] = entry->second;
        }
        data_->bpe.emplace(byte_tokens);
        return {};
    }

    Status read_merges() {
        const json& merges = member(member(file_, "model"), "merges");
        if (!merges.is_array()) return corrupt("model.merges is missing");
        data_->bpe->reserve(merges.size());
        std::string merged;
        for (const json& merge : merges) {
            std::string_view left;
            std::string_view right;
            if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
                merge[1].is_string()) {
                left = merge[0].get_ref<const std::string&>();
                right = merge[1].get_ref<const std::string&>();
            } else if (merge.is_string()) {
                const std::string_view text = merge.get_ref<const std::string&>();
                left = text.substr(0, text.find(' '));
                right = text.substr(std::min(text.size(), left.size() + 1));
            } else {
                return corrupt("a merge that is no pair of tokens");
            }
            merged = left;
            merged += right;
            const auto left_id = ids_.find(left);
            const auto right_id = ids_.find(right);
            const auto merged_id = ids_.find(merged);
            if (left_id == ids_.end() || right_id == ids_.end() || merged_id == ids_.end()) {
                return corrupt("the merge '" + excerpt(left) + " " + excerpt(right) +
                               "' names a token that is not in the vocabulary");
            }
            data_->bpe->add_merge(left_id->second, right_id->second, merged_id->second);
        }
        return {};
    }

    Status read_added_tokens() {
        for (const json& entry : member(file_, "added_tokens")) {
            const json& content = member(entry, "content");
            const json& id = member(entry, "id");
            if (!content.is_string() || !is_id(id))
                return corrupt("an added token without content or id");
            for (const char* name : {"lstrip", "rstrip", "single_word"}) {
                if (member(entry, name) == true) {
                    return unsupported("an added token with " + std::string(name));
                }
            }
            const auto text = content.get<std::string>();
            RETURN_IF_ERROR(place(id.get<TokenId>(), text));
            if (member(entry, "normalized") == true) {
                const std::string normal = data_->normalizes_nfc ? to_nfc(text) : text;
                data_->added_normalized.add(normal, id.get<TokenId>());
            } else {
                data_->added.add(text, id.get<TokenId>());
            }
        }
        data_->bpe->index_whole_tokens(data_->bytes_of);
        return {};
    }

    const json& file_;
    std::string file_name_;
    std::unique_ptr<Tokenizer::Data> data_;
    std::unordered_map<std::string_view, TokenId> ids_;  // keys of file_
    std::vector<bool> is_placed_;                        // by token id
};

}  // namespace

Result<std::unique_ptr<Tokenizer::Data>> read_tokenizer(std::string_view json_text,
                                                        const std::string& file_name) {
    const json file = json::parse(json_text, nullptr, /*allow_exceptions=*/false);
    if (!file.is_object())
        return Error{ErrorCode::kCorrupt, file_name + ": expected a JSON object", {}};
    return Reader(file, file_name).read();
}

}  // namespace turnpike::engine::text
