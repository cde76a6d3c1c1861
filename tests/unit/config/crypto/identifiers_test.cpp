// Shapes of identifiers, and that a mistyped key is refused by its checksum alone.
#include "config/crypto/identifiers.h"

#include <gtest/gtest.h>

namespace turnpike::crypto {
namespace {

TEST(RequestIds, HoldTheirTimeToTheMillisecondAndSortByIt) {
    const WallTime now = from_unix_us(1'763'900'000'123'456);
    const RequestId id = new_request_id(now);
    EXPECT_EQ(id.value().size(), 26U);
    EXPECT_EQ(to_unix_us(time_of(id).value()), 1'763'900'000'123'000);
    EXPECT_LT(id, new_request_id(now + std::chrono::milliseconds(1)));
    EXPECT_NE(id, new_request_id(now));
}

TEST(RequestIds, RefuseWhatIsNoUlid) {
    EXPECT_FALSE(time_of(RequestId("")).has_value());
    EXPECT_FALSE(time_of(RequestId("01ARZ3NDEKTSV4RRFFQ69G5FAU")).has_value());  // U is no digit
    EXPECT_FALSE(time_of(RequestId("81ARZ3NDEKTSV4RRFFQ69G5FAV")).has_value());  // over 128 bits
    EXPECT_TRUE(time_of(RequestId("01ARZ3NDEKTSV4RRFFQ69G5FAV")).has_value());
}

TEST(Uuid4, HasVersionAndVariant) {
    const std::string id = new_uuid4();
    ASSERT_EQ(id.size(), 36U);
    EXPECT_EQ(id[14], '4');
    EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos);
}

TEST(ApiKeys, AnyOneChangedCharacterIsRefused) {
    const std::string key = new_api_key().reveal();
    ASSERT_EQ(key.size(), 44U);
    ASSERT_TRUE(is_well_formed_api_key(key));
    for (std::size_t i = 0; i < key.size(); ++i) {
        std::string typo = key;
        typo[i] = typo[i] == 'x' ? 'y' : 'x';
        EXPECT_FALSE(is_well_formed_api_key(typo)) << i;
    }
    EXPECT_FALSE(is_well_formed_api_key(key.substr(1)));
    EXPECT_FALSE(is_well_formed_api_key(""));
}

TEST(ApiKeys, RedactionKeepsSixCharactersOfTheSecret) {
    const std::string key = new_api_key().reveal();
    EXPECT_EQ(redact_api_key(key), key.substr(0, 10) + "…" + key.substr(40));
    EXPECT_EQ(redact_api_key("short"), "***");
}

}  // namespace
}  // namespace turnpike::crypto
