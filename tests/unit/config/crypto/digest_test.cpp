// Digests against the vectors of FIPS 180-4 and RFC 4231.
#include "config/crypto/digest.h"

#include <gtest/gtest.h>

namespace turnpike::crypto {
namespace {

TEST(Sha256, MatchesFips180Vector) {
    EXPECT_EQ(to_hex(sha256("abc")),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, InPiecesIsAsInOne) {
    Sha256 pieces;
    for (const char* piece : {"a", "", "bc"}) pieces.update(piece);
    EXPECT_EQ(pieces.finish(), sha256("abc"));
    EXPECT_EQ(Sha256().finish(), sha256(""));
}

TEST(HmacSha256, MatchesRfc4231CaseTwoAgainAndAgain) {
    HmacSha256 hmac(Secret("Jefe"));
    const std::string expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    EXPECT_EQ(to_hex(hmac.compute("what do ya want for nothing?")), expected);
    EXPECT_NE(to_hex(hmac.compute("something else")), expected);
    EXPECT_EQ(to_hex(hmac.compute("what do ya want for nothing?")), expected);
}

TEST(EqualConstantTime, ComparesBytesAndLength) {
    const Digest a = sha256("a");
    Digest b = a;
    EXPECT_TRUE(equal_constant_time(a, b));
    b[31] ^= 1;
    EXPECT_FALSE(equal_constant_time(a, b));
    EXPECT_FALSE(equal_constant_time(a, std::span(a).first(31)));
}

TEST(Hex, RoundTripsAndRefusesNonsense) {
    EXPECT_EQ(from_hex("00ff7F").value(), std::string("\x00\xff\x7f", 3));
    EXPECT_FALSE(from_hex("0").has_value());
    EXPECT_FALSE(from_hex("0g").has_value());
}

}  // namespace
}  // namespace turnpike::crypto
