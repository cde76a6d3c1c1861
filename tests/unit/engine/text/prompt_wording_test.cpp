// The shipped wording, filled; and what a replaced file may get wrong.
#include "engine/text/prompt_wording.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace turnpike::engine::text {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

const std::string kFile =
    std::string(TURNPIKE_SOURCE_DIR) + "/config/files/prompts/deepseek-r1.json";
constexpr std::chrono::year_month_day kDate = 2025y / 5 / 28;  // a Wednesday

json shipped() {
    std::ifstream file(kFile);
    return json::parse(file);
}

std::string problem(const json& file) {
    const auto wording = PromptWording::parse(file.dump(), "p.json");
    return wording ? "" : wording.error().message;
}

TEST(PromptWording, TheSystemMessageIsDated) {
    const PromptWording wording = PromptWording::load(kFile).value();
    EXPECT_EQ(wording.system(kDate, Language::kChinese),
              "该助手为DeepSeek-R1，由深度求索公司创造。\n今天是2025年5月28日，星期三。");
    EXPECT_TRUE(wording.system(2024y / 2 / 29, Language::kEnglish)
                    .ends_with("Today is Thursday, February 29, 2024."));
}

TEST(PromptWording, AFileStandsBeforeItsQuestion) {
    const PromptWording wording = PromptWording::load(kFile).value();
    EXPECT_EQ(wording.file_upload("a {question}.txt", "x\n{file_name}", "Why?"),
              "[file name]: a {question}.txt\n[file content begin]\nx\n{file_name}\n[file content "
              "end]\nWhy?");
}

TEST(PromptWording, SearchResultsAreNumberedInTheLanguageOfTheQuestion) {
    const PromptWording wording = PromptWording::load(kFile).value();
    const std::vector<std::string> pages{"one", "two"};
    const std::string english = wording.web_search(pages, kDate, "Who?");
    EXPECT_NE(english.find("\n[webpage 1 begin]one[webpage 1 end]\n[webpage 2 begin]two[webpage 2 "
                           "end]\n"),
              std::string::npos);
    EXPECT_NE(english.find("- Today is Wednesday, May 28, 2025."), std::string::npos);
    EXPECT_TRUE(english.ends_with("\n\n# The user's message is:\nWho?"));
    const std::string chinese = wording.web_search(pages, kDate, "谁？");
    EXPECT_TRUE(chinese.ends_with("\n\n# 用户消息为：\n谁？"));
    EXPECT_NE(chinese.find("- 今天是2025年5月28日，星期三。"), std::string::npos);
}

TEST(PromptWording, OnlyChineseIsChinese) {
    EXPECT_EQ(language_of("DeepSeek 是什么？"), Language::kChinese);
    EXPECT_EQ(language_of("日本語ですか"), Language::kEnglish);
    EXPECT_EQ(language_of("漢字와 한글"), Language::kEnglish);
    EXPECT_EQ(language_of("What?"), Language::kEnglish);
    EXPECT_EQ(language_of(""), Language::kEnglish);
}

TEST(PromptWording, AReplacedFileIsChecked) {
    const auto with = [](const char* pointer, const json& value) {
        json file = shipped();
        file[json::json_pointer(pointer)] = value;
        return problem(file);
    };
    EXPECT_EQ(problem(shipped()), "");
    EXPECT_EQ(with("/file_upload", "{file_name}{file_content}"),
              "p.json: /file_upload: {question} is missing");
    EXPECT_EQ(with("/web_page", "{index}{text}{x}"), "p.json: /web_page: nothing is known as {x}");
    EXPECT_EQ(with("/system/en", "{current_date"), "p.json: /system/en: a '{' without its '}'");
    EXPECT_EQ(with("/web_search/zh", 3),
              "p.json: /web_search/zh: expected a string or an array of lines");
    EXPECT_EQ(with("/weekdays/en", json::array({"Sunday"})),
              "p.json: /weekdays/en: expected 7 strings");
    json file = shipped();
    file.erase("date");
    EXPECT_NE(problem(file).find("/date/zh"), std::string::npos);
    EXPECT_FALSE(PromptWording::parse("[", "p.json").has_value());
    EXPECT_FALSE(PromptWording::load("/nonexistent/p.json").has_value());
}

}  // namespace
}  // namespace turnpike::engine::text
