// The fixed cuts of K: whole, ordered, multiples of 128, the same for any number of ranks.
#include "kernels/api/segments.h"

#include <gtest/gtest.h>

namespace turnpike::kernels {
namespace {

TEST(Segments, CoverKInOrder) {
    for (std::int64_t k = 1; k <= 4096; ++k) {
        const std::int64_t count = num_segments(k);
        ASSERT_GE(count, 1);
        ASSERT_LE(count, kMaxSegments);
        std::int64_t covered = 0;
        for (std::int64_t i = 0; i < count; ++i) {
            const Segment segment = segment_of(k, i);
            ASSERT_EQ(segment.begin, covered) << k;
            ASSERT_GT(segment.end, segment.begin) << k;
            ASSERT_EQ(segment.begin % kSegmentUnit, 0) << k;
            covered = segment.end;
        }
        ASSERT_EQ(covered, k);
    }
}

TEST(Segments, ThePublishedModelSplitsEvenly) {
    for (const std::int64_t k : {16384, 18432, 2048}) {
        ASSERT_EQ(num_segments(k), 8);
        for (std::int64_t i = 0; i < 8; ++i) {
            EXPECT_EQ(segment_of(k, i).end - segment_of(k, i).begin, k / 8);
        }
    }
}

TEST(Segments, SmallKHasFewer) {
    EXPECT_EQ(num_segments(100), 1);
    EXPECT_EQ(num_segments(128), 1);
    EXPECT_EQ(num_segments(129), 2);
    EXPECT_EQ(segment_of(384, 2).begin, 256);
    EXPECT_EQ(segment_of(384, 2).end, 384);
}

}  // namespace
}  // namespace turnpike::kernels
