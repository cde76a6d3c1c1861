// Our tokenizer against the `tokenizers` package: the same ids for the same strings, the same text
// for the same ids; streaming gives that text too and never breaks a character.
#include "engine/text/tokenizer.h"

#include <gtest/gtest.h>

#include "engine/text/incremental_decoder.h"
#include "engine/text/normalizer.h"
#include "engine/text/utf8.h"
#include "tests/golden/tokenizer_fixture.h"

namespace turnpike::engine::text {
namespace {

constexpr std::size_t kMaxShown = 20;

// One test case does it all: the tokenizer takes seconds to build without optimisation.
class TokenizerGolden : public testing::TestWithParam<std::string> {
  protected:
    TokenizerGolden()
        : tokenizer_(
              Tokenizer::parse(golden::tokenizer_json(GetParam(), true), GetParam()).value()),
          hashes_(golden::stored_hashes(GetParam())) {}

    // Compares the ids of `texts` with the hashes from `first_hash` on.
    void expect_ids(const std::vector<std::string>& texts,
                    std::size_t first_hash,
                    SpecialTokens mode) const {
        ASSERT_GE(hashes_.size(), first_hash + texts.size());
        std::size_t num_wrong = 0;
        for (std::size_t i = 0; i < texts.size(); ++i) {
            if (golden::hash_ids(tokenizer_.encode(texts[i], mode)) == hashes_[first_hash + i])
                continue;
            if (++num_wrong <= kMaxShown)
                ADD_FAILURE() << testing::PrintToString(texts[i].substr(0, 200));
        }
        EXPECT_EQ(num_wrong, 0U) << "of " << texts.size() << " texts have other ids";
    }

    void expect_decoded() const {
        const auto lists = golden::id_lists(static_cast<std::uint64_t>(tokenizer_.vocab_size()));
        ASSERT_GE(hashes_.size(), lists.size());
        const std::size_t first = hashes_.size() - lists.size();
        for (std::size_t i = 0; i < lists.size(); ++i) {
            EXPECT_EQ(golden::hash_text(streamed(lists[i])), hashes_[first + i])
                << testing::PrintToString(lists[i]);
        }
    }

    void expect_streamed_back() const {
        const bool is_normalized = GetParam() == "qwen3";
        for (const std::string& text : strings_) {
            const std::string expected = is_normalized ? to_nfc(text) : text;
            EXPECT_EQ(streamed(tokenizer_.encode(text, SpecialTokens::kPlain)), expected);
        }
    }

    std::string streamed(const std::vector<TokenId>& ids) const {
        IncrementalDecoder decoder(tokenizer_);
        std::string text;
        for (const TokenId id : ids) {
            const std::string delta = decoder.push(id);
            EXPECT_EQ(valid_utf8_prefix(delta), delta.size());
            text += delta;
        }
        return text + decoder.flush();
    }

    const Tokenizer tokenizer_;
    const std::vector<std::uint64_t> hashes_;
    const std::vector<std::string> strings_ = golden::stored_strings();
};

INSTANTIATE_TEST_SUITE_P(Trained,
                         TokenizerGolden,
                         testing::Values("deepseek", "qwen3"),
                         [](const auto& test) { return test.param; });

TEST_P(TokenizerGolden, GivesTheIdsAndTextOfThePackage) {
    ASSERT_GE(strings_.size(), 10'000U);
    expect_ids(strings_, 0, SpecialTokens::kPlain);
    expect_ids(strings_, strings_.size(), SpecialTokens::kMatch);
    // Every code point of the planes in use.
    expect_ids(golden::sweep_texts(), strings_.size() * 2, SpecialTokens::kPlain);
    expect_decoded();
    expect_streamed_back();
}

}  // namespace
}  // namespace turnpike::engine::text
