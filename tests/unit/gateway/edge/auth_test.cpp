// Keys: which are accepted, under which pepper, and that all refusals are one.
#include "gateway/edge/auth.h"

#include <gtest/gtest.h>

#include "config/crypto/identifiers.h"

namespace turnpike::gateway {
namespace {

using controlplane::KeyRow;
using controlplane::Snapshot;

class AuthTest : public testing::Test {
  protected:
    AuthTest() {
        peppers_.by_version.emplace(1, Secret(std::string(32, 'a')));
        peppers_.by_version.emplace(2, Secret(std::string(32, 'b')));
    }

    KeyRow row_of(const Secret& key, int pepper_version) {
        KeyRow row;
        row.id = KeyId("k" + std::to_string(pepper_version));
        crypto::HmacSha256 hmac(peppers_.by_version.at(pepper_version));
        row.mac_hex = crypto::to_hex(hmac.compute(key.reveal()));
        row.pepper_version = pepper_version;
        return row;
    }

    Directory directory_with(const KeyRow& row) {
        Snapshot snapshot;
        snapshot.is_full = true;
        snapshot.keys.push_back({row.id.value(), row});
        return Directory().apply(snapshot).value();
    }

    crypto::Peppers peppers_;
    const Secret key_ = crypto::new_api_key();
    const WallTime now_ = from_unix_us(1'000'000);
};

TEST_F(AuthTest, KeysOfEveryPepperAreFound) {
    Authenticator authenticator(peppers_);
    for (const int version : {1, 2}) {
        const Directory directory = directory_with(row_of(key_, version));
        const auto key = authenticator.authenticate("Bearer " + key_.reveal(), directory, now_);
        ASSERT_TRUE(key.has_value());
        EXPECT_EQ((*key)->pepper_version, version);
    }
}

TEST_F(AuthTest, EveryRefusalIsTheSame) {
    Authenticator authenticator(peppers_);
    KeyRow expired = row_of(key_, 2);
    expired.expires_at = now_;
    KeyRow wrong_version = row_of(key_, 2);
    wrong_version.pepper_version = 1;
    const std::string good = "Bearer " + key_.reveal();
    const Directory directory = directory_with(row_of(key_, 2));
    const auto expected = authenticator.authenticate("", directory, now_);
    ASSERT_FALSE(expected.has_value());
    const auto check = [&](const std::string& header, const Directory& known) {
        const auto result = authenticator.authenticate(header, known, now_);
        ASSERT_FALSE(result.has_value()) << header.substr(0, 8);
        EXPECT_EQ(result.error().code, ErrorCode::kUnauthenticated);
        EXPECT_EQ(result.error().message, expected.error().message);
    };
    check(good, directory_with(expired));
    check(good, directory_with(wrong_version));
    check(good, Directory());
    check(key_.reveal(), directory);
    check("Basic " + key_.reveal(), directory);
    check(good + "x", directory);
    check("Bearer " + crypto::new_api_key().reveal(), directory);
}

TEST_F(AuthTest, ExpiryIsInTheFutureUntilItComes) {
    Authenticator authenticator(peppers_);
    KeyRow row = row_of(key_, 2);
    row.expires_at = now_ + std::chrono::microseconds(1);
    const Directory directory = directory_with(row);
    EXPECT_TRUE(authenticator.authenticate("bearer " + key_.reveal(), directory, now_).has_value());
    const WallTime then = *row.expires_at;
    EXPECT_FALSE(
        authenticator.authenticate("bearer " + key_.reveal(), directory, then).has_value());
}

}  // namespace
}  // namespace turnpike::gateway
