#include "engine/text/synth_tokenizer.h"

#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/text/byte_level.h"
#include "engine/text/special_tokens.h"

namespace turnpike::engine::text {
namespace {

using json = nlohmann::ordered_json;

constexpr std::int32_t kMinVocabSize = 300;
constexpr std::array kLeading{special::kBos, special::kEos, special::kPad};
constexpr std::array<std::string_view, 17> kTrailing{special::kThinkBegin,
                                                     special::kThinkEnd,
                                                     "<｜fim▁hole｜>",
                                                     "<｜fim▁begin｜>",
                                                     "<｜fim▁end｜>",
                                                     special::kUser,
                                                     special::kAssistant,
                                                     "<|EOT|>",
                                                     special::kToolCallsBegin,
                                                     special::kToolCallsEnd,
                                                     special::kToolCallBegin,
                                                     special::kToolCallEnd,
                                                     special::kToolOutputsBegin,
                                                     special::kToolOutputsEnd,
                                                     special::kToolOutputBegin,
                                                     special::kToolOutputEnd,
                                                     special::kToolSep};

// What the merges are learnt from: everyday English of the kind that people send to a chat.
constexpr std::string_view kCorpus =
    "What are some fun things to do in the city this weekend? You could walk across the old bridge "
    "in the morning, "
    "visit a museum of modern art, eat noodles from a small kitchen near the market, and watch the "
    "boats on the river "
    "before the evening comes. If it rains, there is always the library, where the reading room is "
    "warm and quiet. "
    "Please write a short story about a lighthouse keeper who finds a letter in a bottle and "
    "decides to answer it. "
    "How many apples are left when nine children share forty eight apples and each of them takes "
    "five? First we "
    "multiply nine by five, which gives forty five, then we subtract forty five from forty eight, "
    "so three apples are "
    "left. The answer is three. Let me think about this step by step and check the result at the "
    "end. "
    "Explain the difference between a process and a thread in simple words. A process has its own "
    "memory, while the "
    "threads inside one process share theirs; that makes talking between them fast, but mistakes "
    "are harder to find. "
    "Write a function that returns the largest number of a list. Why does my server answer slowly "
    "when many clients "
    "connect at the same time? Look at the queue first: a request that waits is slow even when the "
    "work is quick. "
    "Translate the following sentence into French, German and Spanish: the train leaves at seven "
    "o'clock tomorrow. "
    "The weather will be sunny with a light wind from the west, and the temperature should reach "
    "twenty degrees. "
    "Could you help me plan a healthy dinner for four people with rice, beans, tomatoes and fresh "
    "bread? Of course! "
    "Start by washing the vegetables, then cut them into pieces, heat some oil in a large pan, and "
    "stir gently. "
    "Mathematics, physics, chemistry, biology, history, geography, music, language, economics and "
    "philosophy are "
    "subjects that students learn at school and university. A good teacher explains what is known, "
    "shows where the "
    "knowledge comes from, and says honestly what nobody understands yet. Remember to drink enough "
    "water, sleep well, "
    "and take a break from the computer every hour. Thank you very much for your question, I hope "
    "this helps you. "
    "Because energy cannot be created or destroyed, the total before must equal the total after. "
    "Suppose x plus seven "
    "equals twelve; therefore x equals five. However, another approach might be better: consider "
    "both sides again. "
    "Between January and December the company opened eleven offices, hired hundreds of engineers, "
    "designers and "
    "writers, and doubled the number of customers without raising its prices. Important "
    "information should always be "
    "clear, correct and complete; everything else can wait until somebody actually needs it.";

// Words as symbols, merged step by step: the learnt merges in rank order.
class Trainer {
  public:
    explicit Trainer(std::size_t num_merges) : num_merges_(num_merges) {
        for (int byte = 0; byte < 256; ++byte)
            texts_.push_back(to_byte_level(std::string(1, static_cast<char>(byte))));
        count_words();
    }

    void train() {
        while (merges_.size() < num_merges_) {
            const std::optional<Pair> best = most_frequent_pair();
            if (!best) break;
            const auto merged = static_cast<std::int32_t>(texts_.size());
            texts_.push_back(joined(*best));
            add(text_of(best->first), text_of(best->second));
            for (Word& word : words_) merge_in(word, *best, merged);
        }
        fill_with_letter_pairs();
    }

    const std::vector<std::pair<std::string, std::string>>& merges() const { return merges_; }

  private:
    using Pair = std::pair<std::int32_t, std::int32_t>;

    struct Word {
        std::vector<std::int32_t> symbols;  // indices into texts_
        int count = 0;
    };

    void count_words() {
        std::map<std::string, int> counts;
        std::istringstream stream{std::string(kCorpus)};
        for (std::string text; stream >> text;) ++counts[" " + text];
        for (const auto& [text, count] : counts) {
            Word word;
            for (const char c : text) word.symbols.push_back(static_cast<std::uint8_t>(c));
            word.count = count;
            words_.push_back(std::move(word));
        }
    }

    const std::string& text_of(std::int32_t symbol) const {
        return texts_[static_cast<std::size_t>(symbol)];
    }

    std::string joined(Pair pair) const { return text_of(pair.first) + text_of(pair.second); }

    // By count, then the first in the order of the texts, so that the result is fixed.
    bool is_better(Pair pair, int count, const std::optional<Pair>& best, int best_count) const {
        if (count != best_count || !best) return count > best_count;
        return std::tie(text_of(pair.first), text_of(pair.second)) <
               std::tie(text_of(best->first), text_of(best->second));
    }

    std::optional<Pair> most_frequent_pair() const {
        std::map<Pair, int> counts;
        for (const Word& word : words_) {
            for (std::size_t i = 0; i + 1 < word.symbols.size(); ++i)
                counts[{word.symbols[i], word.symbols[i + 1]}] += word.count;
        }
        std::optional<Pair> best;
        int best_count = 0;
        for (const auto& [pair, count] : counts) {
            if (!is_better(pair, count, best, best_count) || tokens_.contains(joined(pair)))
                continue;
            best = pair;
            best_count = count;
        }
        return best;
    }

    static void merge_in(Word& word, Pair pair, std::int32_t merged) {
        std::vector<std::int32_t>& symbols = word.symbols;
        std::size_t size = 0;
        for (std::size_t i = 0; i < symbols.size(); ++i) {
            const bool is_pair =
                i + 1 < symbols.size() && symbols[i] == pair.first && symbols[i + 1] == pair.second;
            symbols[size++] = is_pair ? merged : symbols[i];
            if (is_pair) ++i;
        }
        symbols.resize(size);
    }

    void add(const std::string& left, const std::string& right) {
        if (merges_.size() == num_merges_ || !tokens_.insert(left + right).second) return;
        merges_.emplace_back(left, right);
    }

    // The text may be too small for the size that was asked for: letters in pairs, then in pairs of
    // pairs.
    void fill_with_letter_pairs() {
        std::vector<std::string> parts;
        for (char c = 'a'; c <= 'z'; ++c) parts.emplace_back(1, c);
        while (merges_.size() < num_merges_) {
            std::vector<std::string> longer;
            for (const std::string& left : parts) {
                for (const std::string& right : parts) {
                    if (merges_.size() == num_merges_) return;
                    add(left, right);
                    longer.push_back(left + right);
                }
            }
            parts = std::move(longer);
        }
    }

    std::size_t num_merges_;
    std::vector<std::string> texts_;
    std::vector<Word> words_;
    std::vector<std::pair<std::string, std::string>> merges_;
    std::unordered_set<std::string> tokens_;
};

json split(const char* pattern) {
    return {{"type", "Split"},
            {"pattern", {{"Regex", pattern}}},
            {"behavior", "Isolated"},
            {"invert", false}};
}

json byte_level() {
    return {{"type", "ByteLevel"},
            {"add_prefix_space", false},
            {"trim_offsets", true},
            {"use_regex", false}};
}

// The three stages of DeepSeek-V3's pre-tokenizer: digits by three, CJK and kana, and the rest.
json pre_tokenizer() {
    json stages = json::array();
    stages.push_back(split("\\p{N}{1,3}"));
    stages.push_back(split("[一-龥぀-ゟ゠-ヿ]+"));
    stages.push_back(
        split("[!\"#$%&'()*+,\\-./"
              ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
              " ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"));
    stages.push_back(byte_level());
    return {{"type", "Sequence"}, {"pretokenizers", stages}};
}

json added_token(std::int32_t id, std::string_view text, bool is_special) {
    return {
        {"id", id},        {"content", text},           {"single_word", false}, {"lstrip", false},
        {"rstrip", false}, {"normalized", !is_special}, {"special", is_special}};
}

}  // namespace

Result<std::string> synthesize_tokenizer_json(std::int32_t vocab_size) {
    if (vocab_size < kMinVocabSize) {
        return invalid_argument(
            "expected a vocabulary of at least " + std::to_string(kMinVocabSize) +
            " rows for a byte-level tokenizer, found " + std::to_string(vocab_size));
    }
    // An ordered object looks for a key from its beginning: filled at once instead.
    std::vector<std::pair<std::string, json>> vocabulary;
    json added = json::array();
    std::int32_t next_id = 0;
    for (const std::string_view text : kLeading) {
        added.push_back(added_token(next_id, text, true));
        vocabulary.emplace_back(text, next_id++);
    }
    for (int byte = 0; byte < 256; ++byte)
        vocabulary.emplace_back(to_byte_level(std::string(1, static_cast<char>(byte))), next_id++);
    const auto num_merges =
        static_cast<std::size_t>(vocab_size - kNumSyntheticPaddingRows - next_id) -
        kTrailing.size();
    Trainer trainer(num_merges);
    trainer.train();
    json merges = json::array();
    for (const auto& [left, right] : trainer.merges()) {
        merges.push_back(left + " " + right);
        vocabulary.emplace_back(left + right, next_id++);
    }
    for (const std::string_view text : kTrailing)
        added.push_back(added_token(next_id++, text, text == "<|EOT|>"));
    const json file{{"version", "1.0"},
                    {"truncation", nullptr},
                    {"padding", nullptr},
                    {"added_tokens", added},
                    {"normalizer", {{"type", "Sequence"}, {"normalizers", json::array()}}},
                    {"pre_tokenizer", pre_tokenizer()},
                    {"post_processor", nullptr},
                    {"decoder", byte_level()},
                    {"model",
                     {{"type", "BPE"},
                      {"dropout", nullptr},
                      {"unk_token", nullptr},
                      {"continuing_subword_prefix", nullptr},
                      {"end_of_word_suffix", nullptr},
                      {"fuse_unk", false},
                      {"byte_fallback", false},
                      {"vocab", json::object_t(vocabulary.begin(), vocabulary.end())},
                      {"merges", merges}}}};
    return file.dump(1) + "\n";
}

std::string synthesize_tokenizer_config_json() {
    const json config{{"tokenizer_class", "LlamaTokenizerFast"},
                      {"add_bos_token", true},
                      {"add_eos_token", false},
                      {"bos_token", special::kBos},
                      {"eos_token", special::kEos},
                      {"pad_token", special::kEos},
                      {"unk_token", nullptr},
                      {"clean_up_tokenization_spaces", false}};
    return config.dump(1) + "\n";
}

}  // namespace turnpike::engine::text
