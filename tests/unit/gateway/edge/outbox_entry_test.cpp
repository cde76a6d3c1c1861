// The log's entries: round trip, and that no damage goes unnoticed.
#include "gateway/edge/outbox_entry.h"

#include <gtest/gtest.h>

#include <limits>

namespace turnpike::gateway {
namespace {

using controlplane::Outcome;

controlplane::UsageRecord record() {
    controlplane::UsageRecord record;
    record.request_id = RequestId("01J");
    record.org = OrgId("org");
    record.key = KeyId("key");
    record.model = std::string("mod\0el", 6);
    record.served_model = "served";
    record.endpoint = EndpointId("endpoint");
    record.replica = ReplicaId("replica");
    record.epoch = Epoch(-3);
    record.price_version = 1LL << 40;
    record.outcome = Outcome::kGatewayFailed;
    record.http_status = 502;
    record.usage = {12, 3, 4, 1};
    record.is_provider_reported = true;
    record.opened_at = from_unix_us(1'790'000'000'000'001);
    record.closed_at = from_unix_us(1'790'000'000'000'002);
    return record;
}

TEST(OutboxEntry, RoundTrips) {
    const std::string closed = encode(ClosedEntry{77, record()});
    const DecodedEntry entry = decode_entry(closed + "more");
    ASSERT_TRUE(entry.closed.has_value());
    EXPECT_EQ(entry.num_bytes, closed.size());
    EXPECT_EQ(entry.closed->sequence, 77);
    EXPECT_EQ(write_usage_record(entry.closed->record), write_usage_record(record()));
    EXPECT_EQ(entry.closed->record.epoch, Epoch(-3));
    const DecodedEntry opened = decode_entry(encode(OpenedEntry{record(), "unix:/r"}));
    ASSERT_TRUE(opened.opened.has_value());
    EXPECT_EQ(opened.opened->address, "unix:/r");
    EXPECT_EQ(opened.opened->record.model, record().model);
}

TEST(OutboxEntry, EveryCutAndEveryFlippedBitIsNoticed) {
    const std::string bytes = encode(ClosedEntry{1, record()});
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        EXPECT_EQ(decode_entry(std::string_view(bytes).substr(0, length)).num_bytes, 0U);
    }
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        std::string damaged = bytes;
        damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
        EXPECT_EQ(decode_entry(damaged).num_bytes, 0U) << bit;
    }
}

TEST(OutboxEntry, NumbersThatNoRecordHoldsAreNoEntry) {
    controlplane::UsageRecord odd = record();
    odd.http_status = 1000;
    EXPECT_EQ(decode_entry(encode(ClosedEntry{1, odd})).num_bytes, 0U);
    odd = record();
    odd.outcome = static_cast<Outcome>(77);  // its name would be asked for: the end of the process
    EXPECT_EQ(decode_entry(encode(ClosedEntry{1, odd})).num_bytes, 0U);
    EXPECT_EQ(decode_entry(encode(OpenedEntry{odd, "unix:/r"})).num_bytes, 0U);
    // The next sequence would overflow.
    constexpr auto kLast = std::numeric_limits<std::int64_t>::max();
    EXPECT_EQ(decode_entry(encode(ClosedEntry{kLast, record()})).num_bytes, 0U);
    EXPECT_NE(decode_entry(encode(ClosedEntry{kLast - 1, record()})).num_bytes, 0U);
}

}  // namespace
}  // namespace turnpike::gateway
