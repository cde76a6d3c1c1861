// choose_rows: which of a step's rows stay, and that each keeps what it had.
#include "engine/model/row_choice.h"

#include <gtest/gtest.h>

namespace turnpike::engine {
namespace {

using Numbers = std::vector<std::int64_t>;

// Two sequences of one pool and one of another: five prompt rows, then a prompt's last two rows
// with two generated ones after them, then one generated row.
struct Step {
    std::vector<BlockId> first{1};
    std::vector<BlockId> second{2, 3};
    std::vector<BlockId> third{4};
    ForwardRows rows;

    Step() {
        for (std::int32_t i = 0; i < 10; ++i) rows.tokens.push_back(100 + i);
        rows.positions = {0, 1, 2, 3, 4, 62, 63, 64, 65, 9};
        rows.prompt_slices = {{0, 5, 0, first}, {5, 2, 62, second}};
        rows.generated_slices = {{7, 2, 64, second}, {9, 1, 9, third}};
        rows.pool_rows = {9, 0, 1};
    }
};

// First row, rows, first position and first block of each.
std::vector<Numbers> flat(const std::vector<kernels::AttentionSlice>& slices) {
    std::vector<Numbers> result;
    for (const auto& slice : slices) {
        result.push_back(
            {slice.first_row, slice.num_rows, slice.first_position, slice.block_table.front()});
    }
    return result;
}

TEST(ChooseRows, EachKeepsItsPlaceInItsSequence) {
    const Step step;
    const ForwardRows chosen = choose_rows(step.rows, Numbers{4, 6, 8, 9});
    EXPECT_EQ(chosen.tokens, (std::vector<TokenId>{104, 106, 108, 109}));
    EXPECT_EQ(chosen.positions, (std::vector<std::int32_t>{4, 63, 65, 9}));
    EXPECT_EQ(flat(chosen.prompt_slices), (std::vector<Numbers>{{0, 1, 4, 1}, {1, 1, 63, 2}}));
    EXPECT_EQ(flat(chosen.generated_slices), (std::vector<Numbers>{{2, 1, 65, 2}, {3, 1, 9, 4}}));
    EXPECT_EQ(chosen.pool_rows, (Numbers{3, 0, 1}));
    EXPECT_TRUE(chosen.logit_rows.empty());
}

TEST(ChooseRows, NeighboursStayTogetherAndGapsPartThem) {
    const Step step;
    const ForwardRows chosen = choose_rows(step.rows, Numbers{0, 1, 3, 7, 8});
    EXPECT_EQ(flat(chosen.prompt_slices), (std::vector<Numbers>{{0, 2, 0, 1}, {2, 1, 3, 1}}));
    EXPECT_EQ(flat(chosen.generated_slices), (std::vector<Numbers>{{3, 2, 64, 2}}));
    EXPECT_EQ(chosen.pool_rows, (Numbers{5, 0, 0}));
}

TEST(ChooseRows, AllOrNone) {
    const Step step;
    const ForwardRows all = choose_rows(step.rows, Numbers{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    EXPECT_EQ(all.tokens, step.rows.tokens);
    EXPECT_EQ(flat(all.prompt_slices), flat(step.rows.prompt_slices));
    EXPECT_EQ(flat(all.generated_slices), flat(step.rows.generated_slices));
    EXPECT_EQ(all.pool_rows, step.rows.pool_rows);
    const ForwardRows none = choose_rows(step.rows, Numbers{});
    EXPECT_TRUE(none.tokens.empty() && none.prompt_slices.empty());
    EXPECT_EQ(none.pool_rows, (Numbers{0, 0, 0}));
}

TEST(ChooseRowsDeathTest, RowsOutOfOrderAreABug) {
    const Step step;
    EXPECT_DEATH(choose_rows(step.rows, Numbers{3, 3}), "adjacent_find");
}

}  // namespace
}  // namespace turnpike::engine
