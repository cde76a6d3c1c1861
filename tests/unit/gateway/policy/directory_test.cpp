// Deltas: what they change, what they leave, and that any cut of a history ends in the same state.
#include "gateway/policy/directory.h"

#include <gtest/gtest.h>

#include "tests/support/random.h"

namespace turnpike::gateway {
namespace {

using controlplane::Change;
using controlplane::EndpointRow;
using controlplane::KeyRow;
using controlplane::ModelRow;
using controlplane::Snapshot;

Snapshot delta(std::int64_t revision, bool is_full = false) {
    Snapshot snapshot;
    snapshot.store_id = "store-1";
    snapshot.revision = revision;
    snapshot.is_full = is_full;
    return snapshot;
}

// 32 bytes that say which.
Mac mac(int number) {
    Mac bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<std::uint8_t>(number >> i % 4 * 8);
    return bytes;
}

std::string hex(const Mac& bytes) {
    std::string text;
    for (const std::uint8_t byte : bytes) {
        text += "0123456789abcdef"[byte / 16];
        text += "0123456789abcdef"[byte % 16];
    }
    return text;
}

Change<KeyRow> key(const std::string& id, int number) {
    KeyRow row;
    row.id = KeyId(id);
    row.org = OrgId("org_a");
    row.mac_hex = hex(mac(number));
    return {id, row};
}

Change<ModelRow> model(const std::string& name, std::optional<OrgId> owner) {
    ModelRow row;
    row.name = name;
    row.endpoint = EndpointId("e1");
    row.owner = std::move(owner);
    return {name, row};
}

TEST(Directory, AppliesChangesAndDeletions) {
    Snapshot first = delta(1, true);
    first.keys = {key("k1", 'a'), key("k2", 'b')};
    const Directory one = Directory().apply(first).value();
    Snapshot second = delta(2);
    second.keys = {key("k1", 'c'), {"k2", std::nullopt}};
    const Directory two = one.apply(second).value();
    EXPECT_EQ(two.revision(), 2);
    EXPECT_EQ(two.find_key(mac('a')), nullptr);
    EXPECT_EQ(two.find_key(mac('b')), nullptr);
    ASSERT_NE(two.find_key(mac('c')), nullptr);
    EXPECT_EQ(two.find_key(mac('c'))->id.value(), "k1");
    // The older value is as it was.
    EXPECT_NE(one.find_key(mac('a')), nullptr);
    EXPECT_NE(one.find_key(mac('b')), nullptr);
}

TEST(Directory, FullSnapshotReplacesEverything) {
    Snapshot first = delta(9, true);
    first.keys = {key("k1", 'a')};
    first.models = {model("m", std::nullopt)};
    Snapshot restored = delta(3, true);
    restored.store_id = "store-2";
    restored.keys = {key("k2", 'b')};
    const Directory next = Directory().apply(first).value().apply(restored).value();
    EXPECT_EQ(next.store_id(), "store-2");
    EXPECT_EQ(next.revision(), 3);
    EXPECT_EQ(next.find_key(mac('a')), nullptr);
    EXPECT_EQ(next.find_model("m", OrgId("org_a")), nullptr);
}

TEST(Directory, PartialDeltaOfAnotherStoreIsAConflict) {
    const Directory one = Directory().apply(delta(1, true)).value();
    Snapshot foreign = delta(2);
    foreign.store_id = "store-2";
    const auto result = one.apply(foreign);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::kConflict);
    EXPECT_FALSE(Directory().apply(delta(1)).has_value());
}

TEST(Directory, OwnedModelsAreSeenByTheirOwnerOnly) {
    Snapshot first = delta(1, true);
    first.models = {model("open", std::nullopt), model("own", OrgId("org_a"))};
    const Directory directory = Directory().apply(first).value();
    EXPECT_NE(directory.find_model("own", OrgId("org_a")), nullptr);
    EXPECT_EQ(directory.find_model("own", OrgId("org_b")), nullptr);
    EXPECT_EQ(directory.models_of(OrgId("org_a")).size(), 2U);
    EXPECT_EQ(directory.models_of(OrgId("org_b")).size(), 1U);
}

TEST(Directory, HasARouteOnceAPoolHasAReplica) {
    Snapshot first = delta(1, true);
    first.models = {model("m", std::nullopt)};
    const Directory without = Directory().apply(first).value();
    EXPECT_FALSE(without.has_route());
    Snapshot second = delta(2);
    second.endpoints = {
        {"e1", EndpointRow{EndpointId("e1"), {{ReplicaId("r"), "unix:/x", Epoch(1)}}}}};
    EXPECT_TRUE(without.apply(second).value().has_route());
}

// Any history, taken whole or in pieces, or through the snapshot file, gives one state.
TEST(Directory, DeltasAddUpToTheFullState) {
    test::SeededRandom random(20261124);
    SCOPED_TRACE(random.replay());
    Directory stepwise = Directory().apply(delta(0, true)).value();
    Snapshot whole = delta(0, true);
    for (int revision = 1; revision <= 300; ++revision) {
        const std::string id = "k" + std::to_string(random.between(0, 20));
        Change<KeyRow> change{id, std::nullopt};
        if (random.between(0, 2) > 0) change = key(id, revision);
        Snapshot step = delta(revision);
        step.keys = {change};
        stepwise = stepwise.apply(step).value();
        whole.keys.push_back(change);
        whole.revision = revision;
        if (random.between(0, 30) == 0)
            stepwise = Directory().apply(stepwise.to_snapshot()).value();
    }
    const Directory at_once = Directory().apply(whole).value();
    EXPECT_EQ(write_snapshot(stepwise.to_snapshot()), write_snapshot(at_once.to_snapshot()));
    std::size_t num_found = 0;
    for (int revision = 1; revision <= 300; ++revision) {
        const KeyRow* const row = stepwise.find_key(mac(revision));
        if (row == nullptr) continue;
        EXPECT_EQ(row->mac_hex, hex(mac(revision)));
        ++num_found;
    }
    EXPECT_EQ(num_found, at_once.to_snapshot().keys.size());
}

}  // namespace
}  // namespace turnpike::gateway
