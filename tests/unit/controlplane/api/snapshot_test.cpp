// Snapshots survive the wire whole, and stored bodies compose to the same text.
#include "controlplane/api/snapshot.h"

#include <gtest/gtest.h>

namespace turnpike::controlplane {
namespace {

Snapshot sample() {
    Snapshot snapshot;
    snapshot.store_id = "01J";
    snapshot.revision = 42;
    snapshot.organisations = {{"org_1", OrganisationRow{OrgId("org_1"), "de\"mo", "ab"}}};
    snapshot.keys = {{"key_1", KeyRow{KeyId("key_1"), OrgId("org_1"), "aa", 2, "tp_live_Ab…wxyz",
                                      from_unix_us(5)}},
                     {"key_2", std::nullopt}};
    ModelRow model;
    model.name = "a/b";
    model.endpoint = EndpointId("endpoint-1");
    model.owner = OrgId("org_1");
    model.context_length = 4096;
    model.price = {7, NanoUsd(3000), NanoUsd(1000), NanoUsd(7000), NanoUsd(9)};
    snapshot.models = {{"a/b", model}};
    EndpointRow endpoint;
    endpoint.id = EndpointId("endpoint-1");
    endpoint.replicas = {{ReplicaId("r-1-0"), "unix:/x", Epoch(3)}};
    snapshot.endpoints = {{"endpoint-1", endpoint}};
    return snapshot;
}

TEST(Snapshots, SurviveTheWire) {
    const Snapshot read = parse_snapshot(write_snapshot(sample())).value();
    EXPECT_EQ(write_snapshot(read), write_snapshot(sample()));
    EXPECT_EQ(read.revision, 42);
    EXPECT_FALSE(read.is_full);
    EXPECT_EQ(read.organisations[0].row->name, "de\"mo");
    EXPECT_EQ(read.keys[0].row->expires_at, from_unix_us(5));
    EXPECT_FALSE(read.keys[1].row.has_value());
    EXPECT_EQ(read.models[0].row->price.output_nano_usd, NanoUsd(7000));
    EXPECT_EQ(read.models[0].row->owner, OrgId("org_1"));
    EXPECT_EQ(read.endpoints[0].row->replicas[0].epoch, Epoch(3));
}

TEST(Snapshots, StoredBodiesReadBackAsTheSameSnapshot) {
    const Snapshot whole = sample();
    const std::vector<PublishedRow> rows = {
        {std::string(kEndpointKind), "endpoint-1", write_row(*whole.endpoints[0].row)},
        {std::string(kKeyKind), "key_1", write_row(*whole.keys[0].row)},
        {std::string(kModelKind), "a/b", write_row(*whole.models[0].row)},
        {std::string(kKeyKind), "key_2", std::nullopt},
        {std::string(kOrganisationKind), "org_1", write_row(*whole.organisations[0].row)}};
    const auto read = parse_snapshot(write_published("01J", 42, false, rows));
    ASSERT_TRUE(read.has_value()) << read.error().message;
    EXPECT_EQ(write_snapshot(*read), write_snapshot(whole));
    EXPECT_TRUE(parse_snapshot(write_published("01J", 1, true, {})).value().is_full);
}

TEST(Snapshots, DamageIsRefused) {
    EXPECT_FALSE(parse_snapshot("{}").has_value());
    EXPECT_FALSE(parse_snapshot("nonsense").has_value());
    std::string text = write_snapshot(sample());
    text.replace(text.find("\"mac\""), 5, "\"mca\"");
    EXPECT_EQ(parse_snapshot(text).error().message, "key row: 'mac' is missing");
    Snapshot negative = sample();
    negative.models[0].row->price.input_nano_usd = NanoUsd(-1);
    EXPECT_FALSE(parse_snapshot(write_snapshot(negative)).has_value());
}

TEST(Snapshots, NumbersThatDoNotFitAreRefusedAndNotCutDown) {
    std::string text = write_snapshot(sample());
    // As an int this would read as 2, the version that is there.
    text.replace(text.find("\"pepper_version\":2"), 18, "\"pepper_version\":4294967298");
    EXPECT_EQ(parse_snapshot(text).error().code, ErrorCode::kCorrupt);
    Snapshot costly = sample();
    costly.models[0].row->price.output_nano_usd = kMaxTokenPrice;
    EXPECT_TRUE(parse_snapshot(write_snapshot(costly)).has_value());
    costly.models[0].row->price.output_nano_usd = NanoUsd(kMaxTokenPrice.value() + 1);
    EXPECT_FALSE(parse_snapshot(write_snapshot(costly)).has_value());
}

}  // namespace
}  // namespace turnpike::controlplane
