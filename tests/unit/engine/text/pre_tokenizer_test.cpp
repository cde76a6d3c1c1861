// How patterns are rewritten and texts are cut, broken bytes included.
#include "engine/text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <numeric>

#include "engine/text/pattern.h"
#include "engine/text/unicode_tables.h"

namespace turnpike::engine::text {
namespace {

using Pieces = std::vector<std::string_view>;

Pieces split(const std::vector<std::string>& patterns, std::string_view text) {
    PreTokenizer pre_tokenizer;
    for (const std::string& pattern : patterns)
        EXPECT_TRUE(pre_tokenizer.add_split(pattern).has_value()) << pattern;
    return pre_tokenizer.split(text);
}

TEST(Pattern, ClassesAreSpelledOut) {
    const std::string spaces(white_space_members());
    EXPECT_EQ(to_pcre2_pattern(R"(\s+(?!\S))").value(), "[" + spaces + "]+(?![^" + spaces + "])");
    EXPECT_EQ(to_pcre2_pattern(R"([^\s\r]|\[)").value(), "[^" + spaces + R"(\r]|\[)");
    const std::string numbers = R"(\p{N})" + std::string(members_since_unicode_14('N'));
    EXPECT_EQ(to_pcre2_pattern(R"(\p{N}{1,3}|\P{N})").value(),
              "[" + numbers + "]{1,3}|[^" + numbers + "]");
    EXPECT_EQ(to_pcre2_pattern(R"([]a][^]\p{N}])").value(), "[]a][^]" + numbers + "]");
}

TEST(Pattern, WhatTheEnginesMayReadDifferentlyIsRefused) {
    for (const char* pattern : {R"(\w)", R"(\d+)", R"([\S])", R"([\P{L}])", R"(\p{Lu})",
                                R"(\p{Han})", "[a[b]]", "[a&&b]", "a\\", R"(\p{L)", R"(\x41)",
                                // Matching with these would end in an error.
                                "(*LIMIT_MATCH=1)a", "(?R)|a", "(a(?1))", "(?m)a", "(?<n>a)"}) {
        const auto result = to_pcre2_pattern(pattern);
        ASSERT_FALSE(result.has_value()) << pattern;
        EXPECT_NE(result.error().message.find("not supported"), std::string::npos);
    }
}

TEST(PreTokenizer, MatchesAndGapsArePieces) {
    EXPECT_EQ(split({"b+"}, "abbcb"), (Pieces{"a", "bb", "c", "b"}));
    EXPECT_EQ(split({"b+", "c"}, "abccbc"), (Pieces{"a", "b", "c", "c", "b", "c"}));
    EXPECT_EQ(split({"b*"}, "aéb"), (Pieces{"aé", "b"}));  // empty matches split nothing
    EXPECT_EQ(split({"b"}, ""), Pieces{});
    EXPECT_EQ(split({}, "as it is"), Pieces{"as it is"});
}

TEST(PreTokenizer, NoMatchGoesAcrossBrokenBytes) {
    EXPECT_EQ(split({"a+"}, "aa\xFF\xC3\x61"), (Pieces{"aa", "\xFF\xC3", "a"}));
    EXPECT_EQ(split({R"(\s+(?!\S))"}, " \xF0\x9F"), (Pieces{" ", "\xF0\x9F"}));
}

TEST(PreTokenizer, LongRunsAreNoTrouble) {
    const std::vector<std::string> patterns{
        R"([^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
    constexpr std::size_t kLength = 4 << 20;
    const std::string spaces(kLength, ' ');
    EXPECT_EQ(split(patterns, spaces).size(), 1U);
    EXPECT_EQ(split(patterns, spaces + "x").size(), 2U);
    EXPECT_EQ(split(patterns, std::string(kLength, 'x')).size(), 1U);
    const std::string lines(kLength, '\n');
    EXPECT_EQ(split(patterns, lines).size(), 1U);
}

TEST(Pattern, GroupsOfBothEnginesStay) {
    for (const char* pattern : {"(a)", "(?:a)", "(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?>a)",
                                "(?i:a)", "(?i)a", "[(?R)]", "\\(?R"}) {
        EXPECT_EQ(to_pcre2_pattern(pattern).value(), pattern);
    }
}

}  // namespace
}  // namespace turnpike::engine::text
