// The decoded text depends on the bytes alone, never on how they were split into tokens.
#include "engine/text/incremental_decoder.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/text/synth_tokenizer.h"

namespace turnpike::engine::text {
namespace {

class IncrementalDecoderTest : public testing::Test {
  protected:
    std::string decode(std::string_view bytes, std::size_t piece) const {
        IncrementalDecoder decoder(tokenizer_);
        std::string text;
        for (std::size_t i = 0; i < bytes.size(); i += piece)
            text += decoder.push_bytes(bytes.substr(i, piece));
        return text + decoder.flush();
    }

    const Tokenizer tokenizer_ =
        Tokenizer::parse(synthesize_tokenizer_json(300).value(), "t").value();
};

TEST_F(IncrementalDecoderTest, HoldsBackUnfinishedSequences) {
    IncrementalDecoder decoder(tokenizer_);
    EXPECT_EQ(decoder.push_bytes("a\xF0\x9F"), "a");
    EXPECT_EQ(decoder.push_bytes("\x99"), "");
    EXPECT_EQ(decoder.push_bytes("\x82z"), "🙂z");
    EXPECT_EQ(decoder.push_bytes("\xE2\x82"), "");
    EXPECT_EQ(decoder.flush(), "\uFFFD");
    EXPECT_EQ(decoder.flush(), "");
}

TEST_F(IncrementalDecoderTest, BrokenBytesBecomeReplacementCharacters) {
    EXPECT_EQ(decode("\xFF", 1), "\uFFFD");
    EXPECT_EQ(decode("\x80x", 1), "\uFFFDx");
    EXPECT_EQ(decode("\xC0\xAF", 1), "\uFFFD\uFFFD");
    EXPECT_EQ(decode("\xED\xA0\x80", 1), "\uFFFD\uFFFD\uFFFD");
    EXPECT_EQ(decode("\xE2\x82(", 1), "\uFFFD(");
}

TEST_F(IncrementalDecoderTest, AnySplitGivesTheSameText) {
    std::mt19937 random(11);
    for (int i = 0; i < 500; ++i) {
        std::string bytes;
        for (int k = 0; k < 12; ++k) {
            bytes += random() % 2 == 0 ? std::string("é🙂思")
                                       : std::string(1, static_cast<char>(random()));
        }
        const std::string whole = decode(bytes, bytes.size());
        for (const std::size_t piece : {1U, 2U, 3U, 5U}) EXPECT_EQ(decode(bytes, piece), whole);
    }
}

}  // namespace
}  // namespace turnpike::engine::text
