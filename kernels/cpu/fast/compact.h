// Keeps some values of a row, in order, without a branch per value. V: the vectors of an
// instruction set, as in tile_f32.h, with between(), keep() and count_up().
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "kernels/cpu/fast/kernel_table.h"

namespace turnpike::kernels::fast {

// KernelTable::compact.
template <class V>
std::int64_t compact(const float* odds,
                     const std::int32_t* tokens,
                     std::int64_t n,
                     float low,
                     float high,
                     float* odds_out,
                     std::int32_t* tokens_out) {
    constexpr std::int64_t kLanes = V::kLanes;
    const typename V::F lowest = V::broadcast(low);
    const typename V::F limit = V::broadcast(high);
    std::int64_t count = 0;
    const auto take = [&](const float* values, std::int64_t begin, std::uint32_t lanes) {
        const typename V::F loaded = V::load(values);
        const std::uint32_t mask = V::between(loaded, lowest, limit) & lanes;
        if (mask == 0) return;
        if (tokens_out != nullptr) {
            // Read before anything is written: the outputs may be the inputs.
            const typename V::I ids =
                tokens != nullptr ? V::load_ids(tokens + begin) : V::count_up(begin);
            V::keep_ids(tokens_out + count, ids, mask);
        }
        V::keep(odds_out + count, loaded, mask);
        count += std::popcount(mask);
    };
    constexpr std::uint32_t kAllLanes = (1U << kLanes) - 1;
    std::int64_t begin = 0;
    for (; begin + kLanes <= n; begin += kLanes) take(odds + begin, begin, kAllLanes);
    if (begin < n) {
        float rest[kLanes] = {};
        std::copy(odds + begin, odds + n, rest);
        take(rest, begin, (1U << (n - begin)) - 1);
    }
    return count;
}

}  // namespace turnpike::kernels::fast
