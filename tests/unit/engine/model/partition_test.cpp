// Who holds what: the shares of all ranks are the whole, in order, and cut where sums and scale
// blocks are cut.
#include "engine/model/partition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/api/segments.h"

namespace turnpike::engine {
namespace {

// DeepSeek-R1.
ServingShape r1_shape() {
    ServingShape shape;
    shape.num_heads = 128;
    shape.head_unit = 2;
    shape.num_kv_heads = 1;
    shape.head_columns = 128;
    shape.num_experts = 256;
    shape.vocab_size = 129280;
    return shape;
}

// DeepSeek-R1-0528-Qwen3-8B.
ServingShape qwen3_shape() {
    ServingShape shape;
    shape.num_heads = 32;
    shape.num_kv_heads = 8;
    shape.head_columns = 128;
    shape.vocab_size = 151936;
    return shape;
}

Partition make(const ServingShape& shape, AttentionLayout layout, int rank, int size) {
    auto partition = Partition::make(shape, layout, rank, size);
    EXPECT_TRUE(partition) << (partition ? "" : partition.error().message);
    return partition ? *partition : Partition::single(shape);
}

constexpr auto kTensor = AttentionLayout::kTensorParallel;
constexpr auto kData = AttentionLayout::kDataParallel;

TEST(Partition, OneRankHoldsEverythingWhole) {
    const Partition one = Partition::single(r1_shape());
    EXPECT_EQ(one.heads(), (Range{0, 128}));
    EXPECT_EQ(one.experts(), (Range{0, 256}));
    EXPECT_EQ(one.vocab_of(0), (Range{0, 129280}));
    EXPECT_TRUE(one.attention_output().is_whole());
    EXPECT_EQ(one.attention_output().own_columns, (Range{0, 128 * 128}));
    EXPECT_TRUE(one.mlp(18432).is_whole());
    EXPECT_EQ(one.num_pools(), 1);
}

TEST(Partition, SharesAreTheWholeInOrder) {
    for (const int size : {2, 4, 8}) {
        Range heads, columns, experts, vocab, segments, width;
        for (int rank = 0; rank < size; ++rank) {
            const Partition part = make(r1_shape(), kTensor, rank, size);
            const auto extends = [](Range& so_far, const Range& next) {
                EXPECT_EQ(next.begin, so_far.end);
                so_far.end = next.end;
            };
            extends(heads, part.heads());
            extends(experts, part.experts());
            extends(vocab, part.vocab_of(rank));
            extends(columns, part.attention_output().own_columns);
            extends(segments, part.attention_output().own_segments);
            extends(width, part.mlp(18432).own_columns);
            for (std::int64_t e = part.experts().begin; e < part.experts().end; ++e)
                EXPECT_EQ(part.owner_of_expert(e), rank);
            EXPECT_EQ(part.owner_of_token(part.vocab_of(rank).begin), rank);
            EXPECT_EQ(part.owner_of_token(part.vocab_of(rank).end - 1), rank);
        }
        EXPECT_EQ(heads.end, 128);
        EXPECT_EQ(columns.end, 128 * 128);
        EXPECT_EQ(segments.end, 8);
        EXPECT_EQ(experts.end, 256);
        EXPECT_EQ(vocab.end, 129280);
        EXPECT_EQ(width.end, 18432);
    }
}

TEST(Partition, UnevenSharesAreOwnedAsTheyAreHeld) {
    ServingShape shape = r1_shape();
    shape.num_experts = 10;
    shape.vocab_size = 301;
    for (int rank = 0; rank < 4; ++rank) {
        const Partition part = make(shape, kData, rank, 4);
        for (std::int64_t e = 0; e < 10; ++e)
            EXPECT_EQ(part.owner_of_expert(e) == rank,
                      e >= part.experts().begin && e < part.experts().end);
        for (std::int64_t t = 0; t < 301; ++t)
            EXPECT_EQ(part.owner_of_token(t) == rank,
                      t >= part.vocab_of(rank).begin && t < part.vocab_of(rank).end);
    }
}

// Wherever an MLP is cut, segments and scale blocks end.
TEST(Partition, MlpsAreCutBetweenSegments) {
    for (const std::int64_t width : {64, 128, 160, 1000, 2048, 18432}) {
        std::int64_t end = 0;
        for (int rank = 0; rank < 4; ++rank) {
            const SplitK split = make(r1_shape(), kData, rank, 4).mlp(width);
            if (split.own_segments.is_empty()) continue;
            EXPECT_EQ(split.own_columns.begin, end);
            EXPECT_EQ(split.own_columns.begin % kernels::kSegmentUnit, 0);
            end = split.own_columns.end;
            EXPECT_EQ(end, kernels::segment_of(width, split.own_segments.end - 1).end);
        }
        EXPECT_EQ(end, width);
    }
}

TEST(Partition, DataParallelAttentionHasAllHeadsAndAPoolPerRank) {
    const Partition part = make(qwen3_shape(), kData, 1, 3);
    EXPECT_EQ(part.heads(), (Range{0, 32}));
    EXPECT_EQ(part.kv_heads(), (Range{0, 8}));
    EXPECT_TRUE(part.attention_output().is_whole());
    EXPECT_EQ(part.num_pools(), 3);
    EXPECT_FALSE(part.mlp(12288).is_whole());
}

TEST(Partition, KeyValueHeadsFollowTheirQueries) {
    EXPECT_EQ(make(qwen3_shape(), kTensor, 1, 2).kv_heads(), (Range{4, 8}));
    EXPECT_EQ(make(qwen3_shape(), kTensor, 7, 8).kv_heads(), (Range{7, 8}));
    ServingShape few = qwen3_shape();
    few.num_kv_heads = 2;  // two ranks share each
    EXPECT_EQ(make(few, kTensor, 1, 4).kv_heads(), (Range{0, 1}));
    EXPECT_EQ(make(few, kTensor, 2, 4).kv_heads(), (Range{1, 2}));
}

std::string refusal(const ServingShape& shape, int size) {
    const auto partition = Partition::make(shape, kTensor, 0, size);
    EXPECT_FALSE(partition);
    EXPECT_TRUE(Partition::make(shape, kData, 0, size));
    return partition ? "" : partition.error().message;
}

TEST(Partition, WhatCannotBeDividedIsRefusedWithAWayOut) {
    EXPECT_EQ(refusal(r1_shape(), 3),
              "tensor-parallel attention: 128 heads in units of 2 do not divide among 3 ranks; use "
              "data-parallel attention or another number of ranks");
    // One head of 192 rows would part an FP8 scale block.
    EXPECT_THAT(refusal(r1_shape(), 128), testing::HasSubstr("in units of 2"));
    // 16 ranks would part the eight segments of the sum.
    EXPECT_THAT(refusal(r1_shape(), 16), testing::HasSubstr("columns 0 to 1024"));
    ServingShape odd = qwen3_shape();
    odd.num_kv_heads = 16;
    odd.num_heads = 48;
    EXPECT_THAT(refusal(odd, 12), testing::HasSubstr("16 key/value heads"));
    ServingShape tiny = qwen3_shape();
    tiny.vocab_size = 3;
    EXPECT_FALSE(Partition::make(tiny, kData, 0, 4));
}

}  // namespace
}  // namespace turnpike::engine
