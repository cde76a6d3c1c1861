// What comes out is the text before the stop string that is complete first, however the text was
// cut.
#include "engine/text/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/random.h"

namespace turnpike::engine::text {
namespace {

// By trying every prefix: the stop string that is complete first, and of several the longest.
std::string cut(const std::string& text, const std::vector<std::string>& stops) {
    for (std::size_t end = 0; end <= text.size(); ++end) {
        const std::string prefix = text.substr(0, end);
        std::size_t longest = 0;
        for (const std::string& stop : stops)
            if (prefix.ends_with(stop)) longest = std::max(longest, stop.size());
        if (longest > 0) return text.substr(0, end - longest);
    }
    return text;
}

TEST(StopMatcher, HoldsBackOnlyWhatCouldBeginAStop) {
    StopMatcher matcher({"END"});
    EXPECT_EQ(matcher.push("abcE"), "abc");
    EXPECT_EQ(matcher.push("N"), "");
    EXPECT_EQ(matcher.push("x"), "ENx");
    EXPECT_EQ(matcher.push("E"), "");
    EXPECT_EQ(matcher.flush(), "E");
    EXPECT_FALSE(matcher.has_matched());
}

TEST(StopMatcher, LetsNothingOutAfterAMatch) {
    StopMatcher matcher({"\n\n", "stop"});
    EXPECT_EQ(matcher.push("one st"), "one ");
    EXPECT_EQ(matcher.push("op two"), "");
    EXPECT_TRUE(matcher.has_matched());
    EXPECT_EQ(matcher.push("three"), "");
    EXPECT_EQ(matcher.flush(), "");
}

TEST(StopMatcher, WithoutStopsEverythingPasses) {
    StopMatcher matcher({});
    EXPECT_EQ(matcher.push("anything"), "anything");
    EXPECT_EQ(matcher.flush(), "");
}

TEST(StopMatcher, AgreesWithATrialOfEveryPrefix) {
    test::SeededRandom random(11);
    SCOPED_TRACE(random.replay());
    int num_matched = 0;
    for (int round = 0; round < 2000; ++round) {
        const auto letters = [&](std::int64_t low, std::int64_t high) {
            std::string text(static_cast<std::size_t>(random.between(low, high)), 'a');
            for (char& c : text) c = random.between(0, 1) == 0 ? 'a' : 'b';
            return text;
        };
        std::vector<std::string> stops;
        for (std::int64_t i = random.between(1, 3); i > 0; --i) stops.push_back(letters(2, 9));
        const std::string text = letters(0, 40);
        StopMatcher matcher(stops);
        std::string out;
        for (std::size_t at = 0; at < text.size();) {
            const auto size = static_cast<std::size_t>(random.between(1, 5));
            out += matcher.push(text.substr(at, size));
            at += size;
        }
        num_matched += matcher.has_matched() ? 1 : 0;
        if (!matcher.has_matched()) out += matcher.flush();
        ASSERT_EQ(out, cut(text, stops));
    }
    EXPECT_GT(num_matched, 500);
    EXPECT_LT(num_matched, 1800);
}

}  // namespace
}  // namespace turnpike::engine::text
