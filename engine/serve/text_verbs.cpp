// The verbs that show what the model reads: tokens, prompts, and the words of ready-made prompts.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>

#include "config/base/read_file.h"
#include "engine/api/codec.h"
#include "engine/serve/verbs.h"
#include "engine/text/chat_template.h"
#include "engine/text/incremental_decoder.h"
#include "engine/text/prompt_wording.h"
#include "engine/text/tokenizer.h"
#include "engine/text/utf8.h"

namespace turnpike::engine {
namespace {

using nlohmann::json;

Result<std::string> read_text() {
    auto input = read_to_end(std::cin);
    if (!input) return errno_error("cannot read stdin");
    const std::size_t valid = text::valid_utf8_prefix(*input);
    if (valid == input->size()) return std::move(*input);
    return invalid_argument("stdin is not UTF-8 at byte " + std::to_string(valid));
}

Result<text::Tokenizer> load_tokenizer(const std::string& model_dir) {
    return text::Tokenizer::load(model_dir + "/tokenizer.json");
}

std::string decode(const text::Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
    text::IncrementalDecoder decoder(tokenizer);
    std::string text;
    for (const TokenId token : tokens) text += decoder.push(token);
    return text + decoder.flush();
}

void print(const json& object) {
    std::printf("%s\n", object.dump().c_str());
}

int print_text(const std::string& text, bool is_json) {
    if (is_json) {
        print({{"text", text}});
    } else {
        std::fwrite(text.data(), 1, text.size(), stdout);
    }
    return 0;
}

// The fields of a ready-made prompt. The first error wins.
class Fields {
  public:
    static Result<Fields> parse(const std::string& text) {
        json body = json::parse(text, nullptr, /*allow_exceptions=*/false);
        if (!body.is_object())
            return invalid_argument("expected a JSON object with the prompt's fields on stdin");
        return Fields(std::move(body));
    }

    std::string text(const char* name) {
        const auto entry = body_.find(name);
        if (entry != body_.end() && entry->is_string()) return entry->get<std::string>();
        fail(name, "expected a string");
        return {};
    }

    std::vector<std::string> texts(const char* name) {
        std::vector<std::string> list;
        const auto entry = body_.find(name);
        bool is_list = entry != body_.end() && entry->is_array();
        for (std::size_t i = 0; is_list && i < entry->size(); ++i) {
            is_list = (*entry)[i].is_string();
            if (is_list) list.push_back((*entry)[i].get<std::string>());
        }
        if (!is_list) fail(name, "expected an array of strings");
        return list;
    }

    // Fixed at 1970-01-01 after an error.
    std::chrono::year_month_day date(const char* name) {
        int year = 0;
        unsigned month = 0;
        unsigned day = 0;
        char rest = 0;
        const int found =
            std::sscanf(text(name).c_str(), "%4d-%2u-%2u%c", &year, &month, &day, &rest);
        const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                               std::chrono::day(day)};
        if (found == 3 && date.ok()) return date;
        fail(name, "expected a date as 2026-11-24");
        return std::chrono::sys_days{};
    }

    text::Language language(const char* name) {
        const std::string code = text(name);
        if (code != "zh" && code != "en") fail(name, "expected zh or en");
        return code == "zh" ? text::Language::kChinese : text::Language::kEnglish;
    }

    Status status() const {
        if (problem_.empty()) return {};
        return invalid_argument(problem_);
    }

  private:
    explicit Fields(json body) : body_(std::move(body)) {}

    void fail(const char* name, const char* what) {
        if (problem_.empty()) problem_ = "'" + std::string(name) + "': " + what;
    }

    json body_;
    std::string problem_;
};

Result<std::string> make_prompt(const text::PromptWording& wording,
                                const std::string& kind,
                                Fields fields) {
    if (kind == "file") {
        const std::string name = fields.text("file_name");
        const std::string content = fields.text("file_content");
        const std::string question = fields.text("question");
        RETURN_IF_ERROR(fields.status());
        return wording.file_upload(name, content, question);
    }
    const std::chrono::year_month_day date = fields.date("date");
    if (kind == "system") {
        const text::Language language = fields.language("language");
        RETURN_IF_ERROR(fields.status());
        return wording.system(date, language);
    }
    const std::vector<std::string> pages = fields.texts("pages");
    const std::string question = fields.text("question");
    RETURN_IF_ERROR(fields.status());
    return wording.web_search(pages, date, question);
}

}  // namespace

Result<std::vector<TokenId>> read_tokens(std::istream& stream) {
    std::vector<TokenId> tokens;
    std::string word;
    while (stream >> word) {
        char* end = nullptr;
        const long id = std::strtol(word.c_str(), &end, 10);
        if (*end != '\0' || id < 0 || id > std::numeric_limits<TokenId>::max()) {
            return invalid_argument("expected token ids, found '" + word + "'");
        }
        tokens.push_back(static_cast<TokenId>(id));
    }
    return tokens;
}

int tokenize(const std::string& model_dir, bool is_plain, bool is_json) {
    const auto tokenizer = load_tokenizer(model_dir);
    if (!tokenizer) return fail(tokenizer.error());
    const auto input = read_text();
    if (!input) return fail(input.error());
    const auto mode = is_plain ? text::SpecialTokens::kPlain : text::SpecialTokens::kMatch;
    const std::vector<TokenId> ids = tokenizer->encode(*input, mode);
    if (is_json) {
        print({{"ids", ids}});
        return 0;
    }
    const char* separator = "";
    for (const TokenId id : ids) {
        std::printf("%s%d", separator, id);
        separator = " ";
    }
    std::printf("\n");
    return 0;
}

int detokenize(const std::string& model_dir, bool is_json) {
    const auto tokenizer = load_tokenizer(model_dir);
    if (!tokenizer) return fail(tokenizer.error());
    const auto tokens = read_tokens(std::cin);
    if (!tokens) return fail(tokens.error());
    for (const TokenId token : *tokens) {
        if (token >= tokenizer->vocab_size()) {
            return fail(invalid_argument("token " + std::to_string(token) +
                                         " is beyond the vocabulary of " +
                                         std::to_string(tokenizer->vocab_size())));
        }
    }
    return print_text(decode(*tokenizer, *tokens), is_json);
}

int render(const std::string& model_dir, bool is_json) {
    const auto tokenizer = load_tokenizer(model_dir);
    if (!tokenizer) return fail(tokenizer.error());
    const auto input = read_text();
    if (!input) return fail(input.error());
    // A tool's description is shown to the model in the order of the request.
    auto body = nlohmann::ordered_json::parse(*input, nullptr, /*allow_exceptions=*/false);
    if (!body.is_object()) return fail(invalid_argument("expected {\"messages\": [...]} on stdin"));
    body["model"] = "any";
    const auto request = parse_chat_request(body.dump());
    if (!request) return fail(request.error());
    const auto pieces = text::render_chat(request->messages, request->tools);
    const std::string text = text::to_text(pieces);
    if (!is_json) return print_text(text, false);
    print({{"text", text}, {"ids", text::encode_prompt(*tokenizer, pieces)}});
    return 0;
}

int prompt(const std::string& wording_file, const std::string& kind, bool is_json) {
    const auto wording = text::PromptWording::load(wording_file);
    if (!wording) return fail(wording.error());
    const auto input = read_text();
    if (!input) return fail(input.error());
    auto fields = Fields::parse(*input);
    if (!fields) return fail(fields.error());
    const auto text = make_prompt(*wording, kind, std::move(*fields));
    if (!text) return fail(text.error());
    return print_text(*text, is_json);
}

}  // namespace turnpike::engine
