// The sums that the reference is made of. Each has one order of additions, whatever the caller's
// batch.
#pragma once

#include <cstdint>

namespace turnpike::kernels::reference {

// Sixteen interleaved partial sums, element i into sum i % 16, then halved in pairs: the order is
// fixed and compilers turn it into vector instructions without reordering anything.
inline float dot(const float* a, const float* b, std::int64_t count) {
    constexpr int kLanes = 16;
    float sums[kLanes] = {};
    std::int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
        for (int lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
    }
    for (int lane = 0; i < count; ++i, ++lane) sums[lane] += a[i] * b[i];
    for (int width = kLanes / 2; width > 0; width /= 2) {
        for (int lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
    }
    return sums[0];
}

// y += scale * x.
inline void add_scaled(float scale, const float* x, std::int64_t count, float* y) {
    for (std::int64_t i = 0; i < count; ++i) y[i] += scale * x[i];
}

}  // namespace turnpike::kernels::reference
