#include "engine/core/block_hash.h"

#include <bit>
#include <cstring>
#include <vector>

namespace turnpike::engine {
namespace {

// The state v0 .. v3 of SipHash.
class Sip {
  public:
    explicit Sip(const BlockHasher::Key& key)
        : v_{key[0] ^ 0x736f6d6570736575U, key[1] ^ 0x646f72616e646f6dU ^ 0xeeU,
             key[0] ^ 0x6c7967656e657261U, key[1] ^ 0x7465646279746573U} {}

    void absorb(std::uint64_t word) {
        v_[3] ^= word;
        rounds(2);
        v_[0] ^= word;
    }

    BlockHash finish() {
        BlockHash hash;
        v_[2] ^= 0xeeU;
        rounds(4);
        hash.words[0] = v_[0] ^ v_[1] ^ v_[2] ^ v_[3];
        v_[1] ^= 0xddU;
        rounds(4);
        hash.words[1] = v_[0] ^ v_[1] ^ v_[2] ^ v_[3];
        return hash;
    }

  private:
    void rounds(int count) {
        for (int i = 0; i < count; ++i) {
            v_[0] += v_[1];
            v_[1] = std::rotl(v_[1], 13) ^ v_[0];
            v_[0] = std::rotl(v_[0], 32);
            v_[2] += v_[3];
            v_[3] = std::rotl(v_[3], 16) ^ v_[2];
            v_[0] += v_[3];
            v_[3] = std::rotl(v_[3], 21) ^ v_[0];
            v_[2] += v_[1];
            v_[1] = std::rotl(v_[1], 17) ^ v_[2];
            v_[2] = std::rotl(v_[2], 32);
        }
    }

    std::array<std::uint64_t, 4> v_;
};

}  // namespace

BlockHash BlockHasher::root(std::string_view salt) const {
    return hash(std::as_bytes(std::span(salt)));
}

BlockHash BlockHasher::next(const BlockHash& previous,
                            std::span<const TokenId> tokens,
                            std::int32_t num_prompt_rows) const {
    std::vector<std::byte> bytes(sizeof(previous.words) + tokens.size_bytes() +
                                 sizeof(num_prompt_rows));
    std::byte* to = bytes.data();
    std::memcpy(to, previous.words.data(), sizeof(previous.words));
    to += sizeof(previous.words);
    std::memcpy(to, &num_prompt_rows, sizeof(num_prompt_rows));
    to += sizeof(num_prompt_rows);
    std::memcpy(to, tokens.data(), tokens.size_bytes());
    return hash(bytes);
}

BlockHash BlockHasher::hash(std::span<const std::byte> bytes) const {
    Sip sip(key_);
    std::size_t begin = 0;
    for (; begin + 8 <= bytes.size(); begin += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + begin, 8);
        sip.absorb(word);
    }
    std::uint64_t last = static_cast<std::uint64_t>(bytes.size()) << 56;
    for (std::size_t i = begin; i < bytes.size(); ++i)
        last |= static_cast<std::uint64_t>(bytes[i]) << (8 * (i - begin));
    sip.absorb(last);
    return sip.finish();
}

}  // namespace turnpike::engine
