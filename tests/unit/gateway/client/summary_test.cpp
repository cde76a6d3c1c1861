// The line after an answer.
#include "gateway/client/summary.h"

#include <gtest/gtest.h>

namespace turnpike::gateway::client {
namespace {

using std::chrono::milliseconds;

Price r1_price() {
    Price price;
    price.input_nano_usd = price.cached_input_nano_usd = NanoUsd(3000);
    price.output_nano_usd = NanoUsd(7000);
    return price;
}

TEST(SummaryLine, TellsEverythingThatIsKnown) {
    AnswerFacts facts;
    facts.request_id = "req-1";
    facts.usage = TokenUsage{6, 0, 16, 0};
    EXPECT_EQ(summary_line(facts, r1_price(), milliseconds(1249)),
              "6 tokens in, 16 out, 0.00013 USD, 1.2 s, request req-1");
    facts.usage = TokenUsage{6, 4, 16, 12};
    facts.finish_reason = engine::FinishReason::kLength;
    EXPECT_EQ(summary_line(facts, r1_price(), milliseconds(60'050)),
              "6 tokens in (4 cached), 16 out (12 reasoning), cut off at the token limit, "
              "0.00013 USD, 60.1 s, request req-1");
}

TEST(SummaryLine, LeavesOutWhatIsNot) {
    AnswerFacts facts;
    EXPECT_EQ(summary_line(facts, r1_price(), milliseconds(0)), "tokens unknown, 0.0 s");
    facts.usage = TokenUsage{6, 0, 16, 0};
    EXPECT_EQ(summary_line(facts, {}, milliseconds(49)), "6 tokens in, 16 out, 0.0 s");
    facts.usage = TokenUsage{6, 7, 16, 0};
    EXPECT_EQ(summary_line(facts, r1_price(), milliseconds(50)),
              "6 tokens in (7 cached), 16 out, 0.1 s");
}

}  // namespace
}  // namespace turnpike::gateway::client
