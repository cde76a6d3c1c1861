// The loop that says how fast memory can be read: loads and adds, eight sums in registers. V: the
// vectors of an instruction set, as in tile_f32.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace turnpike::kernels::fast {

// n: a multiple of 1,024 bytes. Returns a number that depends on every byte.
template <class V>
std::uint64_t read_loop(const std::byte* from, std::int64_t n) {
    constexpr int kSums = 8;
    constexpr std::int64_t kWords = sizeof(typename V::I) / sizeof(std::uint32_t);
    typename V::I sums[kSums];
    for (typename V::I& sum : sums) sum = V::zero_bits();
    const auto* words = reinterpret_cast<const std::uint32_t*>(from);
    for (std::int64_t i = 0; i < n / 4; i += kSums * kWords) {
        for (int s = 0; s < kSums; ++s)
            sums[s] = V::add_bits(sums[s], V::load_bits(words + i + s * kWords));
    }
    for (int s = 1; s < kSums; ++s) sums[0] = V::add_bits(sums[0], sums[s]);
    std::uint32_t lanes[kWords];
    std::memcpy(lanes, &sums[0], sizeof lanes);
    std::uint64_t sum = 0;
    for (const std::uint32_t lane : lanes) sum += lane;
    return sum;
}

}  // namespace turnpike::kernels::fast
