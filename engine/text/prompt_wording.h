// PromptWording: prompts for a dated system message, a question about a file and a question with
// search results. The words are in a file that an operator may replace.
#pragma once

#include <array>
#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/base/result.h"

namespace turnpike::engine::text {

enum class Language { kChinese, kEnglish };

// Chinese when the text has Chinese characters and neither kana nor hangul.
Language language_of(std::string_view text);

// Text with {fields}. Values are put in once: braces in them stay as they are.
class Wording {
  public:
    using Values = std::span<const std::pair<std::string_view, std::string_view>>;

    // kCorrupt unless exactly the given fields occur, each at least once.
    static Result<Wording> parse(std::string text, std::span<const std::string_view> fields);
    // `values` has every field.
    std::string fill(Values values) const;

  private:
    std::string text_;
};

class PromptWording {
  public:
    // kCorrupt when the file breaks its format (the field is named), kIo.
    static Result<PromptWording> load(const std::string& path);
    static Result<PromptWording> parse(std::string_view json, const std::string& file_name);

    // Of the assistant, with the date and its day of the week.
    std::string system(std::chrono::year_month_day date, Language language) const;
    // The user's message about an uploaded file.
    std::string file_upload(std::string_view file_name,
                            std::string_view file_content,
                            std::string_view question) const;
    // The user's message with the pages that a search found, in the language of the question.
    std::string web_search(std::span<const std::string> pages,
                           std::chrono::year_month_day date,
                           std::string_view question) const;

  private:
    friend class WordingReader;

    struct InLanguage {
        Wording date;
        std::array<std::string, 7> weekdays;  // from Sunday
        std::array<std::string, 12> months;
        Wording system;
        Wording web_search;
    };

    const InLanguage& words(Language language) const;
    static std::string format_date(const InLanguage& words, std::chrono::year_month_day date);

    InLanguage chinese_;
    InLanguage english_;
    Wording file_upload_;
    Wording web_page_;
};

}  // namespace turnpike::engine::text
