// What an engine says of itself reads back.
#include "engine/api/status.h"

#include <gtest/gtest.h>

namespace turnpike::engine {
namespace {

TEST(Status, RoundTrips) {
    const Health health{EngineState::kFailed, "no weights", "a/b", Epoch(3), 42, 7};
    const Health read = parse_health(write_health(health)).value();
    EXPECT_EQ(read.state, EngineState::kFailed);
    EXPECT_EQ(read.reason, "no weights");
    EXPECT_EQ(read.epoch, Epoch(3));
    EXPECT_EQ(read.protocol, 7);
    // An engine from before there were numbers.
    EXPECT_EQ(parse_health(R"({"state":"ready","reason":"","model":"m","epoch":1,"pid":2})")
                  .value()
                  .protocol,
              1);
    const Load load =
        parse_load(write_load({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1.5, {9, 3}})).value();
    EXPECT_EQ(load.accepted_at, (std::vector<std::int64_t>{9, 3}));
    EXPECT_EQ(load.cache_hit_tokens, 9);
    EXPECT_EQ(load.num_drafts, 10);
    EXPECT_EQ(load.draft_tokens, 11);
    EXPECT_EQ(load.accepted_tokens, 12);
    EXPECT_EQ(load.tokens_per_s, 1.5);
    EXPECT_EQ(load.kv_usage(), 0.8);
    EXPECT_EQ(Load().kv_usage(), 0.0);
    const MeterEntry entry{"01A", {5, 1, 9, 2}, true};
    EXPECT_EQ(parse_meter_entry(write_meter_entry(entry)).value().usage, entry.usage);
    EXPECT_EQ(parse_meter_totals(write_meter_totals({2, 1, {5, 1, 9, 2}})).value().num_open, 1);
}

TEST(Status, RefusesOtherText) {
    EXPECT_FALSE(parse_health("{}").has_value());
    EXPECT_FALSE(parse_load("nonsense").has_value());
    EXPECT_FALSE(parse_meter_entry(R"({"request_id": 3})").has_value());
    EXPECT_FALSE(parse_meter_totals("[]").has_value());
}

TEST(Status, CountsAreIntegersOf64BitsOrRefused) {
    const auto totals = [](const std::string& requests) {
        return parse_meter_totals(R"({"requests":)" + requests +
                                  R"(,"open":1,"prompt_tokens":3,"cached_tokens":1,)"
                                  R"("completion_tokens":2,"reasoning_tokens":1})");
    };
    EXPECT_TRUE(totals("9223372036854775807").has_value());
    for (const char* requests : {"18446744073709551615", "1.5", "1e300", "true"}) {
        ASSERT_FALSE(totals(requests).has_value()) << requests;
        EXPECT_EQ(totals(requests).error().code, ErrorCode::kCorrupt);
    }
    EXPECT_LT(parse_health("{\"a\":\"" + std::string(5000, 'b')).error().message.size(), 300U);
}

TEST(Status, AReasonThatQuotesBrokenBytesIsTold) {
    Health health;
    health.state = EngineState::kFailed;
    health.reason = "tensor \xFF";
    EXPECT_EQ(parse_health(write_health(health)).value().reason, "tensor \xEF\xBF\xBD");
}

}  // namespace
}  // namespace turnpike::engine
