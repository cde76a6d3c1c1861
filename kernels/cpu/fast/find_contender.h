// The random words of many tokens at once, and which of them could win a row. V: the vectors of an
// instruction set, as in tile_f32.h, with the integer operations used here.
#pragma once

#include <cstdint>

#include "kernels/cpu/fast/kernel_table.h"

namespace turnpike::kernels::fast {

// The first word of philox4x32 of sampler.h for each lane, as gumbel_noise counts.
template <class V>
typename V::I first_words(typename V::I tokens, const SampleParams& params) {
    constexpr std::uint32_t kMultiplier0 = 0xD2511F53U;
    constexpr std::uint32_t kMultiplier1 = 0xCD9E8D57U;
    auto key0 = static_cast<std::uint32_t>(params.seed);
    auto key1 = static_cast<std::uint32_t>(params.seed >> 32);
    typename V::I c0 = tokens;
    typename V::I c1 = V::broadcast_bits(static_cast<std::uint32_t>(params.position));
    typename V::I c2 = V::broadcast_bits(static_cast<std::uint32_t>(params.choice_index));
    typename V::I c3 = V::zero_bits();
    for (int round = 0; round < 10; ++round) {
        const auto p0 = V::multiply_wide(c0, kMultiplier0);
        const auto p1 = V::multiply_wide(c2, kMultiplier1);
        c0 = V::xor_bits(V::xor_bits(p1.high, c1), V::broadcast_bits(key0));
        c1 = p1.low;
        c2 = V::xor_bits(V::xor_bits(p0.high, c3), V::broadcast_bits(key1));
        c3 = p0.low;
        key0 += 0x9E3779B9U;
        key1 += 0xBB67AE85U;
    }
    return c0;
}

// KernelTable::find_contender.
template <class V>
std::int64_t find_contender(const std::int32_t* tokens,
                            const float* odds,
                            std::int64_t begin,
                            std::int64_t n,
                            const SampleParams& params,
                            float bound,
                            std::uint32_t* contenders) {
    const typename V::F bounds = V::broadcast(bound);
    for (; begin < n; begin += KernelTable::kContenderLanes) {
        std::uint32_t found = 0;
        for (int lane = 0; lane < KernelTable::kContenderLanes; lane += V::kLanes) {
            const typename V::I words = first_words<V>(V::load_ids(tokens + begin + lane), params);
            const typename V::F limits = V::multiply(bounds, V::load(odds + begin + lane));
            found |= V::at_most(V::distance_to_one(words), limits) << lane;
        }
        if (found == 0) continue;
        *contenders = found;
        return begin;
    }
    return n;
}

}  // namespace turnpike::kernels::fast
