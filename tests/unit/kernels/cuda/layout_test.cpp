// The packed order of weights and rows, and where routed rows go. Runs without a GPU.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "kernels/cuda/sorted_slots.h"
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

// As wgmma reads it: lines of 128 bytes, a piece's place its number mixed with its line's.
TEST(PackedOrder, StripsAreSwizzledLines) {
    for (std::int64_t row = 0; row < 8; ++row) {
        EXPECT_EQ(packed_row(packed_line(row)), row);
        for (std::int64_t piece = 0; piece < 8; ++piece) {
            const std::int64_t at = packed_offset(row, piece * 16, 128, kCodedTileRows);
            EXPECT_EQ(at / 128, packed_line(row));
            EXPECT_EQ(at % 128 / 16, piece ^ packed_line(row));
        }
    }
}

// Random choices of rows, some with all rows on the same experts.
Routing random_routing(std::int64_t rows, std::int64_t num_experts, std::mt19937& random) {
    Routing routing{rows, 4, {}, {}};
    for (std::int64_t r = 0; r < rows; ++r) {
        std::set<std::int32_t> chosen;
        const bool is_crowded = random() % 2 == 0;
        const auto among = static_cast<std::uint32_t>(is_crowded ? 4 : num_experts);
        while (chosen.size() < 4) chosen.insert(static_cast<std::int32_t>(random() % among));
        routing.experts.insert(routing.experts.end(), chosen.begin(), chosen.end());
    }
    return routing;
}

TEST(SortedSlots, EverySlotHasOnePlaceInItsExpertsTiles) {
    std::mt19937 random(1);
    for (std::int64_t rows = 1; rows < 60; ++rows) {
        constexpr std::int64_t kExperts = 16;
        const Routing routing = random_routing(rows, kExperts, random);
        const SortedSlots sorted(routing, kExperts);
        std::set<std::int32_t> seen;
        std::size_t num_active = 0;
        for (std::int32_t e = 0; e < kExperts; ++e) {
            const auto expert = static_cast<std::size_t>(e);
            const std::int32_t begin = sorted.offsets[expert];
            const std::int32_t count = sorted.offsets[expert + 1] - begin;
            if (count > 0) {
                EXPECT_EQ(sorted.active[num_active++], e);
            }
            EXPECT_EQ(sorted.positions[expert] % 8, 0);
            for (std::int32_t i = 0; i < count; ++i) {
                const std::int32_t slot = sorted.order[static_cast<std::size_t>(begin + i)];
                EXPECT_EQ(routing.experts[static_cast<std::size_t>(slot)], e);
                EXPECT_EQ(sorted.slots[static_cast<std::size_t>(sorted.positions[expert] + i)],
                          slot);
                EXPECT_TRUE(seen.insert(slot).second);
                if (i > 0) {
                    EXPECT_LT(sorted.order[static_cast<std::size_t>(begin + i - 1)], slot);
                }
            }
        }
        EXPECT_EQ(static_cast<std::int64_t>(seen.size()), rows * 4);
        for (; num_active < kExperts; ++num_active) EXPECT_EQ(sorted.active[num_active], -1);
        std::int64_t filled = 0;
        for (const std::int32_t slot : sorted.slots) filled += slot >= 0 ? 1 : 0;
        EXPECT_EQ(filled, rows * 4);
    }
}

}  // namespace
}  // namespace turnpike::kernels::cuda
