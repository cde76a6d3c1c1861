// Organisations, keys and model names: what is kept, what is published, what is refused.
#include <fstream>
#include <sstream>

#include "config/crypto/digest.h"
#include "controlplane/store/keys.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

class Accounts : public StoreFixture {
  protected:
    Snapshot delta(std::int64_t after) {
        return parse_snapshot(store_->snapshot_json(store_->store_id(), after).value()).value();
    }

    crypto::Peppers peppers_{{{1, Secret(std::string(32, 'p'))}}};
};

TEST_F(Accounts, OrganisationsHaveUniquePlainNames) {
    const Organisation made = make_org("acme");
    EXPECT_EQ(create_organisation(*store_, "acme", now()).error().code, ErrorCode::kConflict);
    for (const std::string& name :
         {std::string(), std::string("org_x"), std::string("a b"), std::string(65, 'a')}) {
        EXPECT_EQ(create_organisation(*store_, name, now()).error().code,
                  ErrorCode::kInvalidArgument)
            << name;
    }
    EXPECT_EQ(find_organisation(*store_, "acme").value().id, made.id);
    EXPECT_EQ(find_organisation(*store_, made.id.value()).value().name, "acme");
    EXPECT_EQ(find_organisation(*store_, "nobody").error().code, ErrorCode::kNotFound);
    EXPECT_EQ(list_organisations(*store_).value().size(), 1U);
    EXPECT_EQ(delta(0).organisations[0].row->cache_salt.size(), 32U);
}

TEST_F(Accounts, AKeyIsShownOnceAndKeptAsItsHmac) {
    const OrgId org = make_org("acme").id;
    const NewApiKey made = create_key(*store_, peppers_, org, "ci", now()).value();
    const Snapshot snapshot = delta(0);
    ASSERT_EQ(snapshot.keys.size(), 1U);
    crypto::HmacSha256 hmac(Secret(std::string(32, 'p')));
    EXPECT_EQ(snapshot.keys[0].row->mac_hex, crypto::to_hex(hmac.compute(made.secret.reveal())));
    EXPECT_EQ(list_keys(*store_, org).value()[0].redacted, made.key.redacted);
    EXPECT_TRUE(list_keys(*store_, OrgId("other")).value().empty());
    EXPECT_EQ(create_key(*store_, peppers_, OrgId("none"), "", now()).error().code,
              ErrorCode::kNotFound);
    for (const char* file : {"/control.db", "/control.db-wal"}) {
        std::ostringstream bytes;
        bytes << std::ifstream(dir_ + file, std::ios::binary).rdbuf();
        EXPECT_EQ(bytes.str().find(made.secret.reveal()), std::string::npos) << file;
    }
}

TEST_F(Accounts, ARevokedKeyIsTakenFromGateways) {
    const OrgId org = make_org("acme").id;
    const KeyId id = create_key(*store_, peppers_, org, "ci", now()).value().key.id;
    const std::int64_t before = store_->revision();
    const ApiKey revoked = revoke_key(*store_, id, now()).value();
    EXPECT_EQ(revoked.revoked_at, now());
    const Snapshot change = delta(before);
    ASSERT_EQ(change.keys.size(), 1U);
    EXPECT_FALSE(change.keys[0].row.has_value());
    EXPECT_TRUE(delta(0).keys.empty());
    const std::int64_t after = store_->revision();
    EXPECT_EQ(revoke_key(*store_, id, now() + std::chrono::hours(1)).value().revoked_at, now());
    EXPECT_EQ(store_->revision(), after);
    EXPECT_EQ(revoke_key(*store_, KeyId("none"), now()).error().code, ErrorCode::kNotFound);
}

TEST_F(Accounts, APriceGetsAVersionOnlyWhenItDiffers) {
    const EndpointId endpoint = make_endpoint(make_org("acme").id, "acme/pool").id;
    const ModelRow first = make_name(endpoint, "a", price_of(3, 7));
    const std::int64_t revision = store_->revision();
    EXPECT_EQ(make_name(endpoint, "a", price_of(3, 7)).price.version, first.price.version);
    EXPECT_EQ(store_->revision(), revision);
    const ModelRow other_name = make_name(endpoint, "b", price_of(3, 7));
    EXPECT_NE(other_name.price.version, first.price.version);
    const ModelRow dearer = make_name(endpoint, "a", price_of(4, 7));
    EXPECT_GT(dearer.price.version, other_name.price.version);
    EXPECT_EQ(find_price(*store_, first.price.version).value().input_nano_usd, NanoUsd(3));
    EXPECT_EQ(find_price(*store_, 99).error().code, ErrorCode::kNotFound);
    ASSERT_EQ(list_models(*store_, now()).value().size(), 2U);
    EXPECT_EQ(write_row(list_models(*store_, now()).value()[0]), write_row(dearer));
    ASSERT_TRUE(remove_model_name(*store_, "a", now()).has_value());
    EXPECT_EQ(list_models(*store_, now()).value().size(), 1U);
}

TEST_F(Accounts, ImpossibleNamesAndPricesAreRefused) {
    const EndpointId endpoint = make_endpoint(make_org("acme").id, "acme/pool").id;
    ModelName name;
    name.endpoint = endpoint;
    EXPECT_FALSE(put_model_name(*store_, name, price_of(1, 1), now()).has_value());
    name.name = "a";
    EXPECT_FALSE(put_model_name(*store_, name, price_of(-1, 1), now()).has_value());
    EXPECT_FALSE(put_model_name(*store_, name, price_of(1, 2'000'000'000), now()).has_value());
    name.endpoint = EndpointId("none");
    EXPECT_EQ(put_model_name(*store_, name, price_of(1, 1), now()).error().code,
              ErrorCode::kNotFound);
    EXPECT_TRUE(list_models(*store_, now()).value().empty());
}

TEST_F(Accounts, AnotherStoreOrAnUnknownRevisionGetsEverything) {
    make_org("acme");
    const std::int64_t revision = store_->revision();
    EXPECT_TRUE(parse_snapshot(store_->snapshot_json("other", revision).value()).value().is_full);
    EXPECT_TRUE(delta(revision + 1).is_full);
    EXPECT_FALSE(delta(revision).is_full);
    EXPECT_TRUE(delta(revision).organisations.empty());
    const std::string id = store_->store_id();
    open();
    EXPECT_EQ(store_->store_id(), id);
    EXPECT_EQ(store_->revision(), revision);
}

TEST_F(Accounts, ADirectoryHasOneOwnerAtATime) {
    EXPECT_EQ(Store::open(dir_, clock_, log_).error().code, ErrorCode::kConflict);
}

TEST_F(Accounts, SubscribersHearOfCommitsAndNotOfRefusals) {
    int num_heard = 0;
    const int subscription = store_->subscribe([&num_heard] { ++num_heard; });
    make_org("acme");
    EXPECT_EQ(num_heard, 1);
    EXPECT_FALSE(create_organisation(*store_, "acme", now()).has_value());
    EXPECT_EQ(num_heard, 1);
    store_->unsubscribe(subscription);
    make_org("other");
    EXPECT_EQ(num_heard, 1);
}

}  // namespace
}  // namespace turnpike::controlplane
