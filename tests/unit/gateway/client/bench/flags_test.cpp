// The words of the command line that are more than a number.
#include "gateway/client/bench/flags.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace turnpike::gateway::client::bench {
namespace {

Flags parse(std::vector<std::string> arguments) {
    CLI::App app;
    Flags flags;
    declare(app, flags);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants a vector
    app.parse(arguments);
    return flags;
}

TEST(Flags, OpenAndClosedLoop) {
    const Flags flags = parse({"--request-rate", "2.5", "--burstiness", "0.5", "--concurrency", "8",
                               "--num-prompts", "10", "--percentiles", "50,99.9"});
    EXPECT_EQ(flags.request_rate, 2.5);
    EXPECT_EQ(flags.burstiness, 0.5);
    EXPECT_EQ(flags.concurrency, 8);
    EXPECT_EQ(flags.num_prompts, 10);
    EXPECT_EQ(flags.percents, (std::vector<double>{50, 99.9}));
    EXPECT_FALSE(parse({}).request_rate);
}

TEST(Flags, RefuseWhatIsOutOfRange) {
    for (const auto& arguments :
         std::vector<std::vector<std::string>>{{"--request-rate", "0"},
                                               {"--concurrency", "0"},
                                               {"--disconnect-rate", "1.5"},
                                               {"--random-range-ratio", "1"},
                                               {"--num-prompts", "ten"},
                                               {"--percentiles", "101"},
                                               {"--endpoint", "embeddings"},
                                               {"--unknown"}})
        EXPECT_THROW(parse(arguments), CLI::ParseError) << arguments[0];
}

TEST(ParseGoodput, NamesAndMilliseconds) {
    const Slo slo = parse_goodput({"ttft:500", "tpot:50.5"}).value();
    EXPECT_EQ(slo.ttft_ms, 500);
    EXPECT_EQ(slo.tpot_ms, 50.5);
    EXPECT_FALSE(slo.e2el_ms);
    EXPECT_FALSE(parse_goodput({}).value().is_set());
    for (const char* goal : {"ttft", "ttft:", "ttft:x", "ttft:5s", "ttft:0", "itl:5", "", ":5"})
        EXPECT_FALSE(parse_goodput({goal})) << goal;
}

TEST(ParseMetadata, Pairs) {
    const std::map<std::string, std::string> pairs{{"a", "b=c"}, {"d", ""}};
    EXPECT_EQ(parse_metadata({"a=b=c", "d="}).value(), pairs);
    EXPECT_FALSE(parse_metadata({"a"}));
    EXPECT_FALSE(parse_metadata({"=a"}));
}

}  // namespace
}  // namespace turnpike::gateway::client::bench
