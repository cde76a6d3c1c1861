// Settings are read by type, and whatever is not understood is refused with its path.
#include "config/schema/json_settings.h"

#include <gtest/gtest.h>

namespace turnpike::schema {
namespace {

JsonSettings parse(std::string_view text) {
    return JsonSettings::parse(text, "test.json").value();
}

TEST(JsonSettings, ReadsEveryTypeWithCommentsAndDefaults) {
    auto file = parse(R"(// why
        {"port": 8443, "name": "a", "ratio": 0.5, "on": true, "list": ["x", "y"],
         "inner": {"n": 1}, "rows": [{"n": 2}, {"n": 3}]})");
    EXPECT_EQ(file.integer("port"), 8443);
    EXPECT_EQ(file.text("name"), "a");
    EXPECT_EQ(file.number("ratio"), 0.5);
    EXPECT_TRUE(file.boolean("on"));
    EXPECT_EQ(file.texts("list"), (std::vector<std::string>{"x", "y"}));
    EXPECT_EQ(file.section("inner").integer("n"), 1);
    auto rows = file.sections("rows");
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].integer("n") + rows[1].integer("n"), 5);
    EXPECT_EQ(file.text("absent", "fallback"), "fallback");
    EXPECT_TRUE(file.finish().has_value());
}

std::string first_error(std::string_view text, const std::function<void(JsonSettings&)>& read) {
    auto file = parse(text);
    read(file);
    const Status status = file.finish();
    return status ? "" : status.error().message;
}

TEST(JsonSettings, NamesThePathOfWhatIsWrong) {
    const auto read = [](JsonSettings& file) {
        file.integer("port", 1);
        auto inner = file.section("inner");
        inner.text("name", "");
    };
    EXPECT_EQ(first_error(R"({"prot": 1})", read), "test.json: 'prot' is not a known setting");
    EXPECT_EQ(first_error(R"({"inner": {"x": 1}})", read),
              "test.json: 'inner.x' is not a known setting");
    EXPECT_EQ(first_error(R"({"port": "1"})", read),
              "test.json: 'port' expected an integer, found string");
    EXPECT_EQ(first_error(R"({"inner": 3})", read),
              "test.json: 'inner' expected an object, found number");
    EXPECT_EQ(first_error("{}", [](JsonSettings& file) { file.text("must"); }),
              "test.json: 'must' is missing: expected text");
}

TEST(JsonSettings, RefusesWhatIsNoObject) {
    EXPECT_FALSE(JsonSettings::parse("[1]", "f").has_value());
    EXPECT_FALSE(JsonSettings::parse("{", "f").has_value());
    EXPECT_FALSE(JsonSettings::load("/nonexistent/settings.json").has_value());
}

TEST(JsonSettings, ANumberBeyondADoubleIsAnErrorAndNotAnException) {
    const auto file = JsonSettings::parse(R"({"n": 1e999})", "test.json");
    ASSERT_FALSE(file.has_value());
    EXPECT_EQ(file.error().code, ErrorCode::kInvalidArgument);
    EXPECT_TRUE(file.error().message.starts_with("test.json: ")) << file.error().message;
}

TEST(JsonSettings, AnIntegerBeyond64BitsDoesNotWrap) {
    const auto read = [](JsonSettings& file) { file.integer("n"); };
    EXPECT_EQ(first_error(R"({"n": 9223372036854775807})", read), "");
    EXPECT_EQ(first_error(R"({"n": 18446744073709551615})", read),
              "test.json: 'n' expected an integer, found number");
}

TEST(JsonSettings, AMessageIsShortWhateverTheKey) {
    const std::string text = "{\"" + std::string(5000, 'k') + "\": 1}";
    const std::string message = first_error(text, [](JsonSettings&) {});
    EXPECT_NE(message.find("is not a known setting"), std::string::npos);
    EXPECT_LT(message.size(), 300U);
}

}  // namespace
}  // namespace turnpike::schema
