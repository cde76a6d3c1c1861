#include "engine/text/prompt_wording.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "config/base/check.h"
#include "config/base/read_file.h"
#include "engine/text/utf8.h"

namespace turnpike::engine::text {
namespace {

using nlohmann::json;
using Names = std::span<const std::string_view>;

constexpr std::string_view kDateFields[] = {"year", "month", "day", "weekday"};
constexpr std::string_view kSystemFields[] = {"current_date"};
constexpr std::string_view kFileFields[] = {"file_name", "file_content", "question"};
constexpr std::string_view kPageFields[] = {"index", "text"};
constexpr std::string_view kSearchFields[] = {"search_results", "current_date", "question"};

Error corrupt(const std::string& what) {
    return Error{ErrorCode::kCorrupt, what, {}};
}

// Calls on_text and on_field for the parts of a wording in order; false when a brace is left
// open.
template <class OnText, class OnField>
bool walk(std::string_view text, OnText on_text, OnField on_field) {
    while (!text.empty()) {
        const std::size_t open = std::min(text.find('{'), text.size());
        if (open > 0) on_text(text.substr(0, open));
        text.remove_prefix(open);
        if (text.empty()) break;
        const std::size_t close = text.find('}');
        if (close == std::string_view::npos) return false;
        on_field(text.substr(1, close - 1));
        text.remove_prefix(close + 1);
    }
    return true;
}

}  // namespace

Language language_of(std::string_view text) {
    bool has_han = false;
    while (!text.empty()) {
        const Utf8Step step = next_utf8(text);
        const char32_t c = step.code_point;
        const bool is_kana = c >= 0x3040 && c <= 0x30FF;
        const bool is_hangul = (c >= 0x1100 && c <= 0x11FF) || (c >= 0xAC00 && c <= 0xD7A3);
        if (is_kana || is_hangul) return Language::kEnglish;
        has_han = has_han || (c >= 0x3400 && c <= 0x9FFF) || (c >= 0x20000 && c <= 0x323AF);
        text.remove_prefix(step.length);
    }
    return has_han ? Language::kChinese : Language::kEnglish;
}

Result<Wording> Wording::parse(std::string text, Names fields) {
    std::vector<std::string_view> found;
    const bool is_closed = walk(
        text, [](std::string_view) {}, [&](std::string_view field) { found.push_back(field); });
    if (!is_closed) return corrupt("a '{' without its '}'");
    for (const std::string_view name : found) {
        if (std::find(fields.begin(), fields.end(), name) == fields.end())
            return corrupt("nothing is known as {" + std::string(name) + "}");
    }
    for (const std::string_view name : fields) {
        if (std::find(found.begin(), found.end(), name) == found.end())
            return corrupt("{" + std::string(name) + "} is missing");
    }
    Wording wording;
    wording.text_ = std::move(text);
    return wording;
}

std::string Wording::fill(Values values) const {
    std::string out;
    walk(
        text_, [&](std::string_view part) { out += part; },
        [&](std::string_view field) {
            const auto value = std::find_if(values.begin(), values.end(), [&](const auto& entry) {
                return entry.first == field;
            });
            CHECK(value != values.end());
            out += value->second;
        });
    return out;
}

// Reads the file; the first error wins.
class WordingReader {
  public:
    explicit WordingReader(const json& file) : file_(file) {}

    Result<PromptWording> read(const std::string& file_name) {
        PromptWording wording;
        wording.chinese_ = read_language("zh");
        wording.english_ = read_language("en");
        wording.file_upload_ = read_wording("/file_upload", kFileFields);
        wording.web_page_ = read_wording("/web_page", kPageFields);
        if (!problem_.empty()) return corrupt(file_name + ": " + problem_);
        return wording;
    }

  private:
    PromptWording::InLanguage read_language(const std::string& language) {
        PromptWording::InLanguage words;
        words.date = read_wording("/date/" + language, kDateFields);
        words.system = read_wording("/system/" + language, kSystemFields);
        words.web_search = read_wording("/web_search/" + language, kSearchFields);
        read_names("/weekdays/" + language, words.weekdays);
        read_names("/months/" + language, words.months);
        return words;
    }

    const json& at(const std::string& pointer) const {
        static const json kNull;
        const json::json_pointer place(pointer);
        return file_.contains(place) ? file_[place] : kNull;
    }

    void fail(const std::string& pointer, const std::string& what) {
        if (problem_.empty()) problem_ = pointer + ": " + what;
    }

    // One string, or the lines of one.
    Wording read_wording(const std::string& pointer, Names fields) {
        const json& value = at(pointer);
        std::string text;
        if (value.is_string()) {
            text = value.get<std::string>();
        } else if (value.is_array() && are_strings(value)) {
            for (std::size_t i = 0; i < value.size(); ++i)
                text += (i > 0 ? "\n" : "") + value[i].get<std::string>();
        } else {
            fail(pointer, "expected a string or an array of lines");
            return {};
        }
        auto wording = Wording::parse(std::move(text), fields);
        if (!wording) {
            fail(pointer, wording.error().message);
            return {};
        }
        return std::move(*wording);
    }

    template <std::size_t kCount>
    void read_names(const std::string& pointer, std::array<std::string, kCount>& names) {
        const json& value = at(pointer);
        if (!value.is_array() || value.size() != kCount || !are_strings(value))
            return fail(pointer, "expected " + std::to_string(kCount) + " strings");
        for (std::size_t i = 0; i < kCount; ++i) names[i] = value[i].get<std::string>();
    }

    static bool are_strings(const json& list) {
        return std::all_of(list.begin(), list.end(),
                           [](const json& entry) { return entry.is_string(); });
    }

    const json& file_;
    std::string problem_;
};

Result<PromptWording> PromptWording::load(const std::string& path) {
    const auto text = read_file("prompt wording", path);
    RETURN_IF_ERROR(text);
    return parse(*text, path);
}

Result<PromptWording> PromptWording::parse(std::string_view text, const std::string& file_name) {
    const json file = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!file.is_object()) return corrupt(file_name + ": expected a JSON object");
    return WordingReader(file).read(file_name);
}

const PromptWording::InLanguage& PromptWording::words(Language language) const {
    return language == Language::kChinese ? chinese_ : english_;
}

std::string PromptWording::format_date(const InLanguage& words, std::chrono::year_month_day date) {
    CHECK(date.ok());
    const std::string year = std::to_string(static_cast<int>(date.year()));
    const std::string day = std::to_string(static_cast<unsigned>(date.day()));
    const std::chrono::weekday weekday{std::chrono::sys_days(date)};
    const std::pair<std::string_view, std::string_view> values[] = {
        {"year", year},
        {"month", words.months[static_cast<unsigned>(date.month()) - 1]},
        {"day", day},
        {"weekday", words.weekdays[weekday.c_encoding()]}};
    return words.date.fill(values);
}

std::string PromptWording::system(std::chrono::year_month_day date, Language language) const {
    const InLanguage& chosen = words(language);
    const std::string today = format_date(chosen, date);
    const std::pair<std::string_view, std::string_view> values[] = {{"current_date", today}};
    return chosen.system.fill(values);
}

std::string PromptWording::file_upload(std::string_view file_name,
                                       std::string_view file_content,
                                       std::string_view question) const {
    const std::pair<std::string_view, std::string_view> values[] = {
        {"file_name", file_name}, {"file_content", file_content}, {"question", question}};
    return file_upload_.fill(values);
}

std::string PromptWording::web_search(std::span<const std::string> pages,
                                      std::chrono::year_month_day date,
                                      std::string_view question) const {
    std::string results;
    for (std::size_t i = 0; i < pages.size(); ++i) {
        const std::string index = std::to_string(i + 1);
        const std::pair<std::string_view, std::string_view> values[] = {{"index", index},
                                                                        {"text", pages[i]}};
        if (i > 0) results += '\n';
        results += web_page_.fill(values);
    }
    const InLanguage& chosen = words(language_of(question));
    const std::string today = format_date(chosen, date);
    const std::pair<std::string_view, std::string_view> values[] = {
        {"search_results", results}, {"current_date", today}, {"question", question}};
    return chosen.web_search.fill(values);
}

}  // namespace turnpike::engine::text
