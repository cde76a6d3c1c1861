#include "tests/golden/tokenizer_fixture.h"

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "engine/text/byte_level.h"

namespace turnpike::golden {
namespace {

using json = nlohmann::ordered_json;

const std::vector<std::string> kFirst{"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>",
                                      "<｜▁pad▁｜>"};
const std::vector<std::string> kLast{"<think>",
                                     "</think>",
                                     "<｜fim▁hole｜>",
                                     "<｜User｜>",
                                     "<｜Assistant｜>",
                                     "<|EOT|>",
                                     "<｜tool▁calls▁begin｜>",
                                     "<｜tool▁calls▁end｜>",
                                     "<｜tool▁call▁begin｜>",
                                     "<｜tool▁call▁end｜>",
                                     "<｜tool▁outputs▁begin｜>",
                                     "<｜tool▁outputs▁end｜>",
                                     "<｜tool▁output▁begin｜>",
                                     "<｜tool▁output▁end｜>",
                                     "<｜tool▁sep｜>"};

const std::vector<std::string> kDeepSeekPatterns{
    R"(\p{N}{1,3})", "[一-龥぀-ゟ゠-ヿ]+",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
const std::vector<std::string> kQwen3Patterns{
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};

constexpr std::uint64_t kSeed = 20261124;

std::string read_data(const std::string& name) {
    std::ifstream file(std::string(TURNPIKE_SOURCE_DIR) + "/tests/golden/data/" + name,
                       std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// `count` bytes, little-endian.
std::uint64_t read_number(std::string_view bytes, std::size_t at, std::size_t count) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i)
        value |= std::uint64_t{static_cast<std::uint8_t>(bytes[at + i])} << (8 * i);
    return value;
}

void append_utf8(std::string& text, char32_t c) {
    const auto add = [&](char32_t byte) { text += static_cast<char>(byte); };
    const auto add_tail = [&](int shift) { add(0x80 | (c >> shift & 0x3F)); };
    if (c < 0x80) return add(c);
    if (c < 0x800) {
        add(0xC0 | c >> 6);
    } else if (c < 0x10000) {
        add(0xE0 | c >> 12);
        add_tail(6);
    } else {
        add(0xF0 | c >> 18);
        add_tail(12);
        add_tail(6);
    }
    add_tail(0);
}

json added_token(std::size_t id, const std::string& text) {
    const bool is_special = id < kFirst.size() || text == "<|EOT|>";
    return {
        {"id", id},        {"content", text},           {"single_word", false}, {"lstrip", false},
        {"rstrip", false}, {"normalized", !is_special}, {"special", is_special}};
}

// The vocabulary and merges that the stored pairs of ids stand for, and the added tokens.
struct Model {
    explicit Model(std::string_view stored) {
        for (const std::string& text : kFirst) add(text);
        for (int byte = 0; byte < 256; ++byte)
            add(engine::text::to_byte_level(std::string(1, static_cast<char>(byte))));
        for (std::size_t at = 0; at < stored.size(); at += 6) {
            const std::string left = texts[read_number(stored, at, 3)];
            const std::string right = texts[read_number(stored, at + 3, 3)];
            merges.push_back({left, right});
            if (!ids.contains(left + right)) add(left + right);
        }
        for (std::size_t id = 0; id < kFirst.size(); ++id)
            added.push_back(added_token(id, kFirst[id]));
        for (std::size_t i = 0; i < kLast.size(); ++i)
            added.push_back(added_token(texts.size() + i, kLast[i]));
    }

    void add(const std::string& text) {
        ids.emplace(text, texts.size());
        texts.push_back(text);
    }

    std::vector<std::string> texts;
    std::unordered_map<std::string, std::size_t> ids;
    json merges = json::array();
    json added = json::array();
};

}  // namespace

std::string tokenizer_json(const std::string& name, bool has_added_tokens) {
    const Model model(read_data("tokenizer_" + name + ".merges"));
    const bool is_qwen3 = name == "qwen3";
    json stages = json::array();
    for (const std::string& pattern : is_qwen3 ? kQwen3Patterns : kDeepSeekPatterns) {
        stages.push_back({{"type", "Split"},
                          {"pattern", {{"Regex", pattern}}},
                          {"behavior", "Isolated"},
                          {"invert", false}});
    }
    const json level{{"type", "ByteLevel"},
                     {"add_prefix_space", false},
                     {"trim_offsets", true},
                     {"use_regex", false}};
    stages.push_back(level);
    json sequence{{"type", "Sequence"}, {"normalizers", json::array()}};
    const json file{{"added_tokens", has_added_tokens ? model.added : json::array()},
                    {"normalizer", is_qwen3 ? json{{"type", "NFC"}} : sequence},
                    {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", stages}}},
                    {"decoder", level},
                    {"model", {{"type", "BPE"}, {"vocab", model.ids}, {"merges", model.merges}}}};
    return file.dump();
}

std::vector<std::string> stored_strings() {
    const std::string stored = read_data("tokenizer_strings.bin");
    std::vector<std::string> texts;
    for (std::size_t at = 0; at < stored.size();) {
        const auto length = static_cast<std::size_t>(read_number(stored, at, 2));
        texts.push_back(stored.substr(at + 2, length));
        at += 2 + length;
    }
    return texts;
}

std::vector<std::uint64_t> stored_hashes(const std::string& name) {
    const std::string stored = read_data("tokenizer_" + name + ".hashes");
    std::vector<std::uint64_t> hashes;
    for (std::size_t at = 0; at < stored.size(); at += 8)
        hashes.push_back(read_number(stored, at, 8));
    return hashes;
}

std::vector<std::string> sweep_texts() {
    constexpr char32_t kStep = 0x800;
    std::vector<std::string> texts;
    const auto add = [&](char32_t begin) {
        std::string text;
        for (char32_t c = begin; c < begin + kStep; ++c) {
            append_utf8(text, c);
            text += 'a';
            append_utf8(text, c);
            text += "1 ";
        }
        texts.push_back(std::move(text));
    };
    for (char32_t begin = 0; begin < 0xD800; begin += kStep) add(begin);
    for (char32_t begin = 0xF800; begin < 0x33000; begin += kStep) add(begin);
    add(0xE0000);
    return texts;
}

std::vector<std::vector<TokenId>> id_lists(std::uint64_t num_ids) {
    std::uint64_t state = kSeed;
    const auto draw = [&] {  // splitmix64 (Steele et al. 2014)
        state += 0x9E3779B97F4A7C15U;
        std::uint64_t z = state;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
        z = (z ^ z >> 27) * 0x94D049BB133111EBU;
        return z ^ z >> 31;
    };
    std::vector<std::vector<TokenId>> lists(1000);
    for (auto& list : lists) {
        for (int i = 0; i < 12; ++i) {
            const bool is_any = draw() % 2 != 0;
            const std::uint64_t value = draw();
            list.push_back(
                static_cast<TokenId>(is_any ? value % num_ids : kFirst.size() + value % 256));
        }
    }
    return lists;
}

std::uint64_t hash_text(std::string_view text) {
    std::uint64_t value = 0xCBF29CE484222325U;
    for (const char c : text) value = (value ^ static_cast<std::uint8_t>(c)) * 0x100000001B3U;
    return value;
}

std::uint64_t hash_ids(std::span<const TokenId> ids) {
    std::string bytes;
    for (const TokenId id : ids) {
        for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(id >> shift);
    }
    return hash_text(bytes);
}

}  // namespace turnpike::golden
