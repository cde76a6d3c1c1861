#include "gateway/client/bench/prompts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

namespace turnpike::gateway::client::bench {
namespace {

using nlohmann::json;

// With the space before it each is one token to the tokenizers of DeepSeek, Qwen, Llama and GPT.
constexpr std::array kWords = {
    " time",       " year",   " people",  " way",     " day",     " man",      " thing",
    " woman",      " life",   " child",   " world",   " school",  " state",    " family",
    " student",    " group",  " country", " problem", " hand",    " part",     " place",
    " case",       " week",   " company", " system",  " program", " question", " work",
    " government", " number", " night",   " point",   " home",    " water",    " room",
    " mother",     " area",   " money",   " story",   " fact",    " month",    " lot",
    " right",      " study",  " book",    " eye",     " job",     " word",     " business",
    " issue",      " side",   " kind",    " head",    " house",   " service",  " friend",
    " father",     " power",  " hour",    " game",    " line",    " end",      " member",
    " law"};

class PromptMaker {
  public:
    explicit PromptMaker(const SyntheticOptions& options)
        : options_(options), random_(options.seed), prefix_(tokens(options.prefix_tokens)) {}

    Prompt make() {
        Prompt prompt;
        const std::int64_t num_input = length(options_.input_tokens);
        prompt.max_tokens = length(options_.output_tokens);
        prompt.num_tokens = options_.prefix_tokens + num_input;
        std::vector<std::int64_t> all = prefix_;
        const std::vector<std::int64_t> own = tokens(num_input);
        all.insert(all.end(), own.begin(), own.end());
        prompt.json = written(all);
        return prompt;
    }

  private:
    std::int64_t length(std::int64_t middle) {
        const auto spread = static_cast<double>(middle) * options_.range_ratio;
        const auto low =
            static_cast<std::int64_t>(std::floor(static_cast<double>(middle) - spread));
        const auto high =
            static_cast<std::int64_t>(std::ceil(static_cast<double>(middle) + spread));
        return std::max<std::int64_t>(
            1, std::uniform_int_distribution<std::int64_t>(low, high)(random_));
    }

    bool has_ids() const { return options_.vocab_size > 0 && options_.route != Route::kChat; }

    // Token ids, or indices of words.
    std::vector<std::int64_t> tokens(std::int64_t count) {
        const std::int64_t first = has_ids() ? 1 : 0;
        const std::int64_t last =
            has_ids() ? options_.vocab_size - 1 : static_cast<std::int64_t>(kWords.size()) - 1;
        std::uniform_int_distribution<std::int64_t> any(first, last);
        std::vector<std::int64_t> drawn(static_cast<std::size_t>(count));
        for (std::int64_t& token : drawn) token = any(random_);
        return drawn;
    }

    std::string written(const std::vector<std::int64_t>& tokens) const {
        if (has_ids()) return json(tokens).dump();
        std::string text;
        for (const std::int64_t token : tokens) text += kWords[static_cast<std::size_t>(token)];
        if (options_.route != Route::kChat) return json(text).dump();
        return json::array({{{"role", "user"}, {"content", text}}}).dump();
    }

    const SyntheticOptions& options_;
    std::mt19937_64 random_;
    const std::vector<std::int64_t> prefix_;
};

Result<Prompt> parse_prompt(std::string_view line, const PromptFileOptions& options) {
    const json row = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!row.is_object()) return invalid_argument("expected a JSON object");
    Prompt prompt;
    prompt.max_tokens = options.default_max_tokens;
    if (const auto most = row.find("max_tokens"); most != row.end()) {
        if (!most->is_number_integer() || most->get<std::int64_t>() < 1)
            return invalid_argument("'max_tokens': expected an integer of at least 1");
        prompt.max_tokens = most->get<std::int64_t>();
    }
    const auto messages = row.find("messages");
    const auto text = row.find("prompt");
    if ((messages == row.end()) == (text == row.end()))
        return invalid_argument("expected either 'prompt' or 'messages'");
    if (messages != row.end()) {
        if (options.route != Route::kChat)
            return invalid_argument("'messages' is for the chat route; give 'prompt'");
        if (!messages->is_array() || messages->empty())
            return invalid_argument("'messages': expected a list that is not empty");
        prompt.json = messages->dump();
    } else if (options.route == Route::kChat) {
        if (!text->is_string()) return invalid_argument("'prompt': expected a string");
        prompt.json = json::array({{{"role", "user"}, {"content", *text}}}).dump();
    } else {
        if (!text->is_string() && !text->is_array())
            return invalid_argument("'prompt': expected a string or a list of token ids");
        prompt.json = text->dump();
    }
    return prompt;
}

}  // namespace

std::vector<Prompt> synthetic_prompts(const SyntheticOptions& options) {
    PromptMaker maker(options);
    std::vector<Prompt> prompts;
    prompts.reserve(options.count);
    for (std::size_t i = 0; i < options.count; ++i) prompts.push_back(maker.make());
    return prompts;
}

Result<std::vector<Prompt>> parse_prompts(std::string_view lines,
                                          const PromptFileOptions& options) {
    std::vector<Prompt> prompts;
    for (std::int64_t number = 1; !lines.empty(); ++number) {
        const std::size_t end = std::min(lines.find('\n'), lines.size());
        const std::string_view line = lines.substr(0, end);
        lines.remove_prefix(std::min(end + 1, lines.size()));
        if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        auto prompt = parse_prompt(line, options);
        if (!prompt)
            return invalid_argument("line " + std::to_string(number) + ": " +
                                    prompt.error().message);
        prompts.push_back(std::move(*prompt));
    }
    if (prompts.empty()) return invalid_argument("it holds no prompt");
    return prompts;
}

}  // namespace turnpike::gateway::client::bench
