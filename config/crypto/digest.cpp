#include "config/crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "config/base/check.h"
#include "config/base/unique_handle.h"

namespace turnpike::crypto {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

Digest sha256(std::string_view data) {
    Digest digest{};
    std::size_t length = 0;
    CHECK(EVP_Q_digest(nullptr, "SHA256", nullptr, data.data(), data.size(), digest.data(),
                       &length) == 1);
    CHECK(length == digest.size());
    return digest;
}

struct Sha256::Impl {
    UniqueHandle<EVP_MD_CTX*, &EVP_MD_CTX_free> context;
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
    impl_->context.reset(EVP_MD_CTX_new());
    CHECK(impl_->context != nullptr);
    CHECK(EVP_DigestInit_ex2(impl_->context.get(), EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view data) {
    CHECK(EVP_DigestUpdate(impl_->context.get(), data.data(), data.size()) == 1);
}

Digest Sha256::finish() {
    Digest digest{};
    unsigned int length = 0;
    CHECK(EVP_DigestFinal_ex(impl_->context.get(), digest.data(), &length) == 1);
    CHECK(length == digest.size());
    return digest;
}

// The context keeps the key's two padded SHA-256 states; re-initialising it with no key restores
// them.
struct HmacSha256::Impl {
    UniqueHandle<EVP_MAC*, &EVP_MAC_free> mac;
    UniqueHandle<EVP_MAC_CTX*, &EVP_MAC_CTX_free> context;
};

HmacSha256::HmacSha256(const Secret& key) : impl_(std::make_unique<Impl>()) {
    impl_->mac.reset(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
    CHECK(impl_->mac != nullptr);
    impl_->context.reset(EVP_MAC_CTX_new(impl_->mac.get()));
    CHECK(impl_->context != nullptr);
    char digest_name[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest_name, 0),
                                 OSSL_PARAM_construct_end()};
    const std::string& bytes = key.reveal();
    CHECK(EVP_MAC_init(impl_->context.get(), reinterpret_cast<const unsigned char*>(bytes.data()),
                       bytes.size(), params) == 1);
}

HmacSha256::~HmacSha256() = default;
HmacSha256::HmacSha256(HmacSha256&&) noexcept = default;
HmacSha256& HmacSha256::operator=(HmacSha256&&) noexcept = default;

Digest HmacSha256::compute(std::string_view data) {
    EVP_MAC_CTX* context = impl_->context.get();
    Digest digest{};
    std::size_t length = 0;
    CHECK(EVP_MAC_init(context, nullptr, 0, nullptr) == 1);
    CHECK(EVP_MAC_update(context, reinterpret_cast<const unsigned char*>(data.data()),
                         data.size()) == 1);
    CHECK(EVP_MAC_final(context, digest.data(), &length, digest.size()) == 1);
    CHECK(length == digest.size());
    return digest;
}

bool equal_constant_time(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
    std::string hex(bytes.size() * 2, '\0');
    char* at = hex.data();
    for (const std::uint8_t byte : bytes) {
        *at++ = kHexDigits[byte >> 4];
        *at++ = kHexDigits[byte & 15];
    }
    return hex;
}

Result<std::string> from_hex(std::string_view hex) {
    if (hex.size() % 2 != 0) {
        return invalid_argument("expected an even number of hexadecimal digits, found " +
                                std::to_string(hex.size()));
    }
    std::string bytes;
    bytes.reserve(hex.size() / 2);
    for (std::size_t i = 0; i < hex.size(); i += 2) {
        const int high = hex_value(hex[i]);
        const int low = hex_value(hex[i + 1]);
        if (high < 0 || low < 0) {
            return invalid_argument("expected hexadecimal digits, found another character at " +
                                    std::to_string(i));
        }
        bytes += static_cast<char>(high * 16 + low);
    }
    return bytes;
}

void fill_random(std::span<std::uint8_t> bytes) {
    CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
}

}  // namespace turnpike::crypto
