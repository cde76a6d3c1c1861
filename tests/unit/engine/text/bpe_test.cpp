// Merging against a plain reading of the definition, on random merges and pieces of every length
// around the border between the two algorithms.
#include "engine/text/bpe.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace turnpike::engine::text {
namespace {

constexpr TokenId kNumMerges = 400;

struct Vocabulary {
    std::array<TokenId, 256> bytes{};
    std::vector<std::string> bytes_of;
    std::map<std::pair<TokenId, TokenId>, std::pair<int, TokenId>> merges;  // rank, merged
};

// Merges of random tokens over a small alphabet, so that most pieces merge deeply.
Vocabulary random_vocabulary(std::mt19937& random) {
    Vocabulary vocabulary;
    for (int byte = 0; byte < 256; ++byte) {
        vocabulary.bytes[static_cast<std::size_t>(byte)] = byte;
        vocabulary.bytes_of.emplace_back(1, static_cast<char>(byte));
    }
    std::map<std::string, TokenId> ids;
    std::vector<TokenId> usable{'a', 'b', 'c', 'd'};
    for (TokenId rank = 0; rank < kNumMerges; ++rank) {
        const TokenId left = usable[random() % usable.size()];
        const TokenId right = usable[random() % usable.size()];
        const std::string text = vocabulary.bytes_of[static_cast<std::size_t>(left)] +
                                 vocabulary.bytes_of[static_cast<std::size_t>(right)];
        const auto next = static_cast<TokenId>(vocabulary.bytes_of.size());
        const auto [entry, is_new] = ids.try_emplace(text, next);
        if (is_new) {
            vocabulary.bytes_of.push_back(text);
            usable.push_back(entry->second);
        }
        vocabulary.merges[{left, right}] = {rank, entry->second};  // the later call counts
    }
    return vocabulary;
}

std::vector<TokenId> by_definition(const Vocabulary& vocabulary, std::string_view piece) {
    std::vector<TokenId> tokens;
    for (const char c : piece) tokens.push_back(vocabulary.bytes[static_cast<std::uint8_t>(c)]);
    while (true) {
        std::size_t best = 0;
        const std::pair<int, TokenId>* lowest = nullptr;
        for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
            const auto merge = vocabulary.merges.find({tokens[i], tokens[i + 1]});
            if (merge == vocabulary.merges.end()) continue;
            if (lowest == nullptr || merge->second.first < lowest->first) {
                lowest = &merge->second;
                best = i;
            }
        }
        if (lowest == nullptr) return tokens;
        tokens[best] = lowest->second;
        tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
}

TEST(Bpe, MergesAsTheDefinitionDoes) {
    for (const std::uint32_t seed : {1U, 2U, 3U}) {
        std::mt19937 random(seed);
        Vocabulary vocabulary = random_vocabulary(random);
        std::map<int, std::pair<std::pair<TokenId, TokenId>, TokenId>> by_rank;
        for (const auto& [pair, merge] : vocabulary.merges)
            by_rank[merge.first] = {pair, merge.second};
        Bpe bpe(vocabulary.bytes);
        Bpe indexed(vocabulary.bytes);
        indexed.reserve(by_rank.size());
        for (const auto& [rank, merge] : by_rank) {
            bpe.add_merge(merge.first.first, merge.first.second, merge.second);
            indexed.add_merge(merge.first.first, merge.first.second, merge.second);
        }
        indexed.index_whole_tokens(vocabulary.bytes_of);
        Bpe::Workspace workspace;
        for (std::size_t length = 0; length < 90; ++length) {
            for (int i = 0; i < 20; ++i) {
                std::string piece(length, '\0');
                for (char& c : piece) c = static_cast<char>('a' + random() % 5);
                const auto expected = by_definition(vocabulary, piece);
                for (const Bpe* each : {&bpe, &indexed}) {
                    std::vector<TokenId> tokens;
                    each->encode(piece, vocabulary.bytes_of, workspace, tokens);
                    ASSERT_EQ(tokens, expected) << "seed " << seed << ", " << piece;
                }
            }
        }
    }
}

TEST(Bpe, OfAPairThatComesTwiceTheLaterCallCounts) {
    std::array<TokenId, 256> bytes{};
    for (TokenId byte = 0; byte < 256; ++byte) bytes[static_cast<std::size_t>(byte)] = byte;
    Bpe bpe(bytes);
    bpe.add_merge('a', 'b', 300);
    bpe.add_merge('b', 'c', 301);
    bpe.add_merge('a', 'b', 300);  // now after (b, c)
    Bpe::Workspace workspace;
    std::vector<TokenId> tokens;
    bpe.encode("abc", {}, workspace, tokens);
    EXPECT_EQ(tokens, (std::vector<TokenId>{'a', 301}));
}

}  // namespace
}  // namespace turnpike::engine::text
