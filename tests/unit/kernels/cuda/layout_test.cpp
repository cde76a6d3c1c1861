// The packed order of weights and rows, and the room that routed rows need. Runs without a GPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "kernels/cuda/types.h"

namespace turnpike::kernels::cuda {
namespace {

TEST(PackedOrder, EveryByteHasAPlaceOfItsOwn) {
    constexpr std::int64_t kRowBytes = 256;
    for (const std::int64_t rows_per_tile : {kCodedTileRows, kWeightTileRows}) {
        const std::int64_t rows = 2 * rows_per_tile;
        std::set<std::int64_t> places;
        for (std::int64_t row = 0; row < rows; ++row) {
            for (std::int64_t byte = 0; byte < kRowBytes; ++byte)
                places.insert(packed_offset(row, byte, kRowBytes, rows_per_tile));
        }
        EXPECT_EQ(static_cast<std::int64_t>(places.size()), rows * kRowBytes);
        EXPECT_EQ(*places.begin(), 0);
        EXPECT_EQ(*places.rbegin(), rows * kRowBytes - 1);
    }
}

TEST(PackedOrder, ATileAndAStripAreInOnePiece) {
    constexpr std::int64_t kRowBytes = 512;
    for (std::int64_t unit = 0; unit < 4; ++unit) {
        for (std::int64_t row = 64; row < 128; ++row) {
            for (std::int64_t byte = 0; byte < 128; ++byte) {
                const std::int64_t at =
                    packed_offset(row, unit * 128 + byte, kRowBytes, kWeightTileRows);
                EXPECT_EQ(at / 8192, 4 + unit);
                EXPECT_EQ(at % 8192 / 1024, row % 64 / 8);
            }
        }
    }
}

// Lanes 4 g + t of a quarter warp read pieces t of rows g and g + 1: 16 bytes each, all 32 banks
// once.
TEST(PackedOrder, EightLanesReadEveryBankOnce) {
    for (std::int64_t g = 0; g < 8; g += 2) {
        std::set<std::int64_t> banks;
        for (std::int64_t lane = 0; lane < 8; ++lane) {
            const std::int64_t at = packed_offset(g + lane / 4, lane % 4 * 16, 128, kCodedTileRows);
            banks.insert(at % 128 / 16);
        }
        EXPECT_EQ(banks.size(), 8U) << g;
    }
}

TEST(Routing, PositionsHaveRoomForEveryChoice) {
    RoutingView routing;
    routing.num_experts = 16;
    routing.num_chosen = 4;
    for (routing.rows = 1; routing.rows < 40; ++routing.rows) {
        // The worst case: every expert that can have a slot has one, the rest go to one of them.
        std::vector<std::int64_t> counts(static_cast<std::size_t>(routing.max_active()), 1);
        counts[0] += routing.num_slots() - routing.max_active();
        std::int64_t needed = 0;
        for (const std::int64_t count : counts) needed += (count + 7) / 8 * 8;
        EXPECT_LE(needed, routing.max_positions());
        EXPECT_EQ(routing.max_positions() % 8, 0);
    }
}

}  // namespace
}  // namespace turnpike::kernels::cuda
