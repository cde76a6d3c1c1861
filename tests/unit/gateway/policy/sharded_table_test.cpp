// Copies that share what was not changed.
#include "gateway/policy/sharded_table.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/support/random.h"

namespace turnpike::gateway {
namespace {

using Table = ShardedTable<int>;

std::map<std::string, int> rows_of(const Table& table) {
    std::map<std::string, int> rows;
    table.each([&](const std::string& id, int row) { rows[id] = row; });
    return rows;
}

TEST(ShardedTable, CopiesChangeApart) {
    test::SeededRandom random(21);
    SCOPED_TRACE(random.replay());
    Table first;
    std::map<std::string, int> expected;
    for (int i = 0; i < 2'000; ++i) {
        const std::string id = "id-" + std::to_string(random.next() % 1'000);
        first.put(id, std::make_shared<const int>(i));
        expected[id] = i;
    }
    EXPECT_EQ(first.size(), expected.size());
    const int* const kept = first.find(expected.begin()->first);
    Table second(first);
    std::map<std::string, int> changed = expected;
    for (int i = 0; i < 500; ++i) {
        const std::string id = "id-" + std::to_string(random.next() % 1'000);
        if (i % 2 == 0) {
            second.erase(id);
            changed.erase(id);
        } else {
            second.put(id, std::make_shared<const int>(-i));
            changed[id] = -i;
        }
    }
    EXPECT_EQ(rows_of(first), expected);
    EXPECT_EQ(rows_of(second), changed);
    EXPECT_EQ(second.size(), changed.size());
    EXPECT_EQ(first.find(expected.begin()->first), kept);
    EXPECT_EQ(first.find("none"), nullptr);
    EXPECT_EQ(first.share("none"), nullptr);
}

TEST(ShardedTable, RowsOutliveTheirTable) {
    Table::Shared row;
    {
        Table table;
        table.put("", std::make_shared<const int>(7));
        row = table.share("");
    }
    EXPECT_EQ(*row, 7);
}

}  // namespace
}  // namespace turnpike::gateway
