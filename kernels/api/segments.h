// The fixed cuts of a sum over K in the linears that ranks share (o_proj, down_proj): part of the
// numbers' definition, so that one rank and eight ranks add the same terms in the same order.
#pragma once

#include <algorithm>
#include <cstdint>

namespace turnpike::kernels {

inline constexpr std::int64_t kSegmentUnit = 128;  // one FP8 scale block
inline constexpr std::int64_t kMaxSegments = 8;

struct Segment {
    std::int64_t begin = 0;
    std::int64_t end = 0;
};

// At most eight, at least one; a short last unit belongs to the last segment.
constexpr std::int64_t num_segments(std::int64_t k) {
    const std::int64_t units = (k + kSegmentUnit - 1) / kSegmentUnit;
    return std::clamp<std::int64_t>(units, 1, kMaxSegments);
}

// Segment `index` of K: begins at a multiple of 128, ends at one or at K. They differ by at most
// one unit.
constexpr Segment segment_of(std::int64_t k, std::int64_t index) {
    const std::int64_t units = (k + kSegmentUnit - 1) / kSegmentUnit;
    const std::int64_t count = num_segments(k);
    return {std::min(k, index * units / count * kSegmentUnit),
            std::min(k, (index + 1) * units / count * kSegmentUnit)};
}

}  // namespace turnpike::kernels
