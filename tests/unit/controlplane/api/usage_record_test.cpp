// Usage records survive the wire whole, and a record that could break the books is refused.
#include "controlplane/api/usage_record.h"

#include <gtest/gtest.h>

namespace turnpike::controlplane {
namespace {

UsageRecord sample() {
    UsageRecord record;
    record.request_id = RequestId("01ARZ3NDEKTSV4RRFFQ69G5FAV");
    record.org = OrgId("org_1");
    record.key = KeyId("key_1");
    record.model = "deepseek-ai/DeepSeek-R1";
    record.served_model = "turnpike/tiny-random";
    record.endpoint = EndpointId("endpoint-1");
    record.replica = ReplicaId("r-1-0");
    record.epoch = Epoch(3);
    record.price_version = 2;
    record.outcome = Outcome::kClientGone;
    record.http_status = 200;
    record.usage = {12, 4, 30, 7};
    record.is_provider_reported = true;
    record.opened_at = from_unix_us(1'700'000'000'000'001);
    record.closed_at = from_unix_us(1'700'000'001'000'002);
    return record;
}

void expect_same(const UsageRecord& a, const UsageRecord& b) {
    EXPECT_EQ(write_usage_record(a), write_usage_record(b));
    EXPECT_EQ(a.request_id, b.request_id);
    EXPECT_EQ(a.usage, b.usage);
    EXPECT_EQ(a.outcome, b.outcome);
    EXPECT_EQ(a.opened_at, b.opened_at);
    EXPECT_EQ(a.closed_at, b.closed_at);
    EXPECT_EQ(a.epoch, b.epoch);
    EXPECT_EQ(a.is_provider_reported, b.is_provider_reported);
}

TEST(UsageRecords, SurviveTheWire) {
    const UsageRecord record = sample();
    expect_same(parse_usage_record(write_usage_record(record)).value(), record);
    const UsageBatch batch{"outbox", 17, {record, record}};
    const UsageBatch read = parse_usage_batch(write_usage_batch(batch)).value();
    EXPECT_EQ(read.outbox_id, "outbox");
    EXPECT_EQ(read.first_sequence, 17);
    ASSERT_EQ(read.records.size(), 2U);
    expect_same(read.records[1], record);
}

TEST(UsageRecords, EveryOutcomeGoesBothWays) {
    for (const Outcome outcome : {Outcome::kCompleted, Outcome::kClientGone, Outcome::kRefused,
                                  Outcome::kReplicaFailed, Outcome::kGatewayFailed}) {
        EXPECT_EQ(parse_outcome(to_string(outcome)).value(), outcome);
    }
    EXPECT_FALSE(parse_outcome("finished").has_value());
    EXPECT_TRUE(is_billed(Outcome::kClientGone));
    EXPECT_FALSE(is_billed(Outcome::kGatewayFailed));
}

TEST(UsageRecords, ImpossibleCountsAreRefused) {
    UsageRecord record = sample();
    record.usage.cached_tokens = 13;
    EXPECT_EQ(parse_usage_record(write_usage_record(record)).error().code, ErrorCode::kCorrupt);
    record = sample();
    record.usage.completion_tokens = -1;
    EXPECT_EQ(parse_usage_record(write_usage_record(record)).error().code, ErrorCode::kCorrupt);
    record = sample();
    record.usage.prompt_tokens = std::int64_t{1} << 40;
    EXPECT_EQ(parse_usage_record(write_usage_record(record)).error().code, ErrorCode::kCorrupt);
}

TEST(UsageRecords, NonsenseIsRefused) {
    EXPECT_FALSE(parse_usage_record("").has_value());
    EXPECT_FALSE(parse_usage_record("[]").has_value());
    EXPECT_FALSE(parse_usage_record("{}").has_value());
    EXPECT_FALSE(parse_usage_batch(R"({"outbox":"a","first_sequence":0})").has_value());
    EXPECT_FALSE(
        parse_usage_batch(R"({"outbox":"a","first_sequence":0,"records":[3]})").has_value());
    EXPECT_FALSE(parse_usage_batch(R"({"outbox":1,"first_sequence":0,"records":[]})").has_value());
}

TEST(UsageRecords, AStatusThatDoesNotFitIsRefusedAndNotCutDown) {
    std::string text = write_usage_record(sample());
    // As an int this would read as 200.
    text.replace(text.find("\"http_status\":200"), 17, "\"http_status\":4294967496");
    EXPECT_EQ(parse_usage_record(text).error().code, ErrorCode::kCorrupt);
    EXPECT_LT(parse_outcome(std::string(5000, 'o')).error().message.size(), 300U);
}

TEST(UsageRecords, TheLargestRecordAtTheHighestPriceCanBeBilled) {
    const Price price{1, kMaxTokenPrice, kMaxTokenPrice, kMaxTokenPrice, NanoUsd()};
    const TokenUsage usage{kMaxRecordTokens, 1, kMaxRecordTokens, 0};
    EXPECT_EQ(cost_of(price, usage), NanoUsd(2 * kMaxRecordTokens * kMaxTokenPrice.value()));
}

}  // namespace
}  // namespace turnpike::controlplane
