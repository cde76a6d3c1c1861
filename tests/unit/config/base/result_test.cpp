// Result: holds a value or an error, and asking for the wrong one is a bug that aborts.
#include "config/base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace turnpike {
namespace {

Status refuse() {
    return invalid_argument("expected a name", "name");
}

Result<int> through(const Status& status) {
    RETURN_IF_ERROR(status);
    return 7;
}

TEST(Result, HoldsAValue) {
    Result<std::unique_ptr<int>> result(std::make_unique<int>(3));
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(**result, 3);
    const std::unique_ptr<int> taken = *std::move(result);
    EXPECT_EQ(*taken, 3);
}

TEST(Result, HoldsAnError) {
    const Status status = refuse();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(status.error().message, "expected a name");
    EXPECT_EQ(status.error().param, "name");
}

TEST(Result, ReturnIfErrorPassesTheErrorOnAndElseGoesOn) {
    EXPECT_EQ(through(Status()).value(), 7);
    EXPECT_EQ(through(refuse()).error().param, "name");
}

TEST(ResultDeathTest, TheWrongHalfAborts) {
    const Result<int> value(1);
    const Result<int> error(invalid_argument("no"));
    EXPECT_DEATH((void)value.error(), "has_value");
    EXPECT_DEATH((void)error.value(), "has_value");
    EXPECT_DEATH((void)Status().error(), "has_value");
    EXPECT_DEATH(refuse().value(), "has_value");
}

}  // namespace
}  // namespace turnpike
