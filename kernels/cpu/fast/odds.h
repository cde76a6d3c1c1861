// The passes of the sampler over a whole row: the largest logit, the odds of all, the mass of the
// likeliest. V: the vectors of an instruction set, as in tile_f32.h, with the operations used here.
// The same bits for every set: 16 interleaved f32 sums for 1,024 values, those sums in f64.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <iterator>
#include <limits>

#include "kernels/cpu/fast/kernel_table.h"

namespace turnpike::kernels::fast {

inline constexpr std::int64_t kSumLanes = 16;
inline constexpr std::int64_t kSumChunk = 1024;

// Calls take(values, index of the first, its number in the group) for each vector of [begin, end),
// in groups of kSumLanes values; the last group is made up with `filler`.
template <class V, class Take>
void for_each_vector(
    const float* x, std::int64_t begin, std::int64_t end, float filler, Take take) {
    for (std::int64_t i = begin; i < end; i += kSumLanes) {
        float rest[kSumLanes];
        const float* from = x + i;
        if (end - i < kSumLanes) {
            std::fill(std::copy(from, x + end, rest), rest + kSumLanes, filler);
            from = rest;
        }
        for (std::int64_t v = 0; v < kSumLanes / V::kLanes; ++v)
            take(V::load(from + v * V::kLanes), i + v * V::kLanes, v);
    }
}

// One f32 vector of sums for each vector of a group.
template <class V>
struct LaneSums {
    typename V::F sums[kSumLanes / V::kLanes];

    LaneSums() { std::fill(std::begin(sums), std::end(sums), V::zero()); }

    double total() const {
        float lanes[kSumLanes];
        for (std::int64_t v = 0; v < kSumLanes / V::kLanes; ++v)
            V::store(lanes + v * V::kLanes, sums[v]);
        for (std::int64_t width = kSumLanes / 2; width > 0; width /= 2) {
            for (std::int64_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
        }
        return static_cast<double>(lanes[0]);
    }
};

template <class V>
float max_of(const float* x, std::int64_t n) {
    constexpr float kLowest = -std::numeric_limits<float>::infinity();
    typename V::F best[kSumLanes / V::kLanes];
    std::fill(std::begin(best), std::end(best), V::broadcast(kLowest));
    for_each_vector<V>(x, 0, n, kLowest, [&](typename V::F value, std::int64_t, std::int64_t v) {
        best[v] = V::larger(value, best[v]);
    });
    float lanes[kSumLanes];
    for (std::int64_t v = 0; v < kSumLanes / V::kLanes; ++v)
        V::store(lanes + v * V::kLanes, best[v]);
    return *std::max_element(std::begin(lanes), std::end(lanes));
}

// RowLoops::exp_of, a vector at a time.
template <class V>
typename V::F exp_of(typename V::F x) {
    using F = typename V::F;
    const F shift = V::broadcast(12582912.0F);  // 1.5 * 2^23: adding it rounds to a whole number
    const F least = V::broadcast(-87.0F);
    const F clamped = V::larger(x, least);
    const F shifted = V::add(V::multiply(clamped, V::broadcast(1.44269504F)), shift);
    const F whole = V::subtract(shifted, shift);
    const F r = V::add(V::subtract(clamped, V::multiply(whole, V::broadcast(0.693359375F))),
                       V::multiply(whole, V::broadcast(2.12194440e-4F)));
    F p = V::broadcast(1.9875691500e-4F);
    for (const float term :
         {1.3981999507e-3F, 8.3334519073e-3F, 4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F})
        p = V::add(V::multiply(p, r), V::broadcast(term));
    p = V::add(V::add(V::multiply(V::multiply(p, r), r), r), V::broadcast(1.0F));
    return V::zero_below(V::scale_by_power(p, shifted), x, least);
}

// KernelTable::exp_all.
template <class V>
double exp_all(const float* x, std::int64_t n, float max, float scale, float* odds) {
    const typename V::F from = V::broadcast(max);
    const typename V::F factor = V::broadcast(scale);
    double total = 0.0;
    for (std::int64_t begin = 0; begin < n; begin += kSumChunk) {
        const std::int64_t end = std::min(n, begin + kSumChunk);
        LaneSums<V> lanes;
        for_each_vector<V>(x, begin, end, -std::numeric_limits<float>::infinity(),
                           [&](typename V::F value, std::int64_t at, std::int64_t v) {
                               const auto found =
                                   exp_of<V>(V::multiply(V::subtract(value, from), factor));
                               lanes.sums[v] = V::add(lanes.sums[v], found);
                               if (at + V::kLanes <= n) {
                                   V::store(odds + at, found);
                               } else {
                                   float rest[V::kLanes];
                                   V::store(rest, found);
                                   std::copy_n(rest, std::max(n - at, std::int64_t{0}), odds + at);
                               }
                           });
        total += lanes.total();
    }
    return total;
}

// KernelTable::mass_from.
template <class V>
KernelTable::Mass mass_from(const float* odds, std::int64_t n, float threshold) {
    const typename V::F least = V::broadcast(threshold);
    KernelTable::Mass mass;
    for (std::int64_t begin = 0; begin < n; begin += kSumChunk) {
        const std::int64_t end = std::min(n, begin + kSumChunk);
        LaneSums<V> lanes;
        for_each_vector<V>(
            odds, begin, end, -1.0F, [&](typename V::F value, std::int64_t, std::int64_t v) {
                lanes.sums[v] = V::add(lanes.sums[v], V::zero_below(value, value, least));
                mass.count += std::popcount(V::at_most(least, value));
            });
        mass.sum += lanes.total();
    }
    return mass;
}

}  // namespace turnpike::kernels::fast
