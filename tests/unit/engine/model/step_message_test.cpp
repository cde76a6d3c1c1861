// A step arrives at the other ranks as it was sent, and a damaged one is noticed.
#include "engine/model/step_message.h"

#include <gtest/gtest.h>

namespace turnpike::engine {
namespace {

TEST(StepMessage, ArrivesAsItWasSent) {
    const std::vector<BlockId> first{3, 1, 4};
    const std::vector<BlockId> second{15};
    ForwardRows rows;
    rows.tokens = {7, 8, 9};
    rows.positions = {130, 131, 2};
    rows.prompt_slices = {{0, 2, 130, first}};
    rows.generated_slices = {{2, 1, 2, second}, {3, 0, 0, {}}};
    rows.logit_rows = {1, 2};
    rows.pool_rows = {2, 1};
    const auto bytes = encode_step(rows, {5, 6});
    const auto step = decode_step(StepKind::kDraft, bytes);
    ASSERT_TRUE(step);
    const ForwardRows& got = step->rows.rows;
    EXPECT_EQ(step->kind, StepKind::kDraft);
    EXPECT_FALSE(step->rows.is_chained);
    EXPECT_TRUE(decode_step(StepKind::kChainedDraft, bytes)->rows.is_chained);
    EXPECT_EQ(got.tokens, rows.tokens);
    EXPECT_EQ(got.positions, rows.positions);
    EXPECT_EQ(got.logit_rows, rows.logit_rows);
    EXPECT_EQ(got.pool_rows, rows.pool_rows);
    EXPECT_EQ(step->rows.hidden_rows, (std::vector<std::int64_t>{5, 6}));
    ASSERT_EQ(got.prompt_slices.size(), 1U);
    EXPECT_EQ(got.prompt_slices[0].first_position, 130);
    EXPECT_TRUE(std::equal(first.begin(), first.end(), got.prompt_slices[0].block_table.begin(),
                           got.prompt_slices[0].block_table.end()));
    ASSERT_EQ(got.generated_slices.size(), 2U);
    EXPECT_EQ(got.generated_slices[0].block_table[0], 15);
    EXPECT_TRUE(got.generated_slices[1].block_table.empty());
}

TEST(StepMessage, ADamagedOneIsNoticed) {
    const std::vector<BlockId> blocks{3, 1, 4};
    ForwardRows rows;
    rows.tokens = {7};
    rows.positions = {0};
    rows.prompt_slices = {{0, 1, 0, blocks}};
    auto bytes = encode_step(rows, {});
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        const auto step = decode_step(StepKind::kForward, std::span(bytes).first(length));
        ASSERT_FALSE(step) << length;
        EXPECT_EQ(step.error().code, ErrorCode::kCorrupt);
    }
    bytes.push_back(std::byte{0});
    EXPECT_FALSE(decode_step(StepKind::kForward, bytes));
    bytes.assign(8, std::byte{0xFF});  // a count beyond memory
    EXPECT_FALSE(decode_step(StepKind::kForward, bytes));
}

}  // namespace
}  // namespace turnpike::engine
