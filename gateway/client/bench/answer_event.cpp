#include "gateway/client/bench/answer_event.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

namespace turnpike::gateway::client::bench {
namespace {

// Names that matter; every other one is kOther.
enum class Name {
    kRoot,
    kElement,
    kOther,
    kId,
    kError,
    kMessage,
    kChoices,
    kDelta,
    kText,
    kContent,
    kReasoning,
    kReasoningContent,
    kArguments,
    kFinishReason,
    kUsage,
    kPromptTokens,
    kCompletionTokens,
    kCachedTokens,
    kReasoningTokens,
};

Name name_of(std::string_view key) {
    constexpr std::array<std::pair<std::string_view, Name>, 16> kNames = {{
        {"id", Name::kId},
        {"error", Name::kError},
        {"message", Name::kMessage},
        {"choices", Name::kChoices},
        {"delta", Name::kDelta},
        {"text", Name::kText},
        {"content", Name::kContent},
        {"reasoning", Name::kReasoning},
        {"reasoning_content", Name::kReasoningContent},
        {"arguments", Name::kArguments},
        {"finish_reason", Name::kFinishReason},
        {"usage", Name::kUsage},
        {"prompt_tokens", Name::kPromptTokens},
        {"completion_tokens", Name::kCompletionTokens},
        {"cached_tokens", Name::kCachedTokens},
        {"reasoning_tokens", Name::kReasoningTokens},
    }};
    for (const auto& [text, name] : kNames) {
        if (text == key) return name;
    }
    return Name::kOther;
}

// The events of nlohmann's SAX parser, with the path of names that leads to each value.
class Reader : public nlohmann::json_sax<nlohmann::json> {
  public:
    AnswerEvent event;
    bool is_object = false;

    bool null() override { return true; }

    bool boolean(bool) override { return true; }

    bool number_integer(number_integer_t value) override { return take(value); }

    bool number_unsigned(number_unsigned_t value) override {
        return take(static_cast<std::int64_t>(value));
    }

    bool number_float(number_float_t, const string_t&) override { return true; }

    bool string(string_t& value) override {
        if (depth_ == 1 && at(0) == Name::kId)
            event.id = std::move(value);
        else if (at(0) == Name::kError)
            take_error(value);
        else if (at(0) == Name::kChoices)
            take_choice(value);
        return true;
    }

    bool binary(binary_t&) override { return true; }

    bool start_object(std::size_t) override {
        is_object = is_object || depth_ == 0;
        if (depth_ == 1 && at(0) == Name::kUsage) event.usage.emplace();
        if (depth_ == 1 && at(0) == Name::kError) event.error.emplace();
        if (depth_ == 2 && at(0) == Name::kChoices) event.has_choice = true;
        return push(Name::kOther);
    }

    bool key(string_t& name) override {
        set(depth_ - 1, name_of(name));
        return true;
    }

    bool end_object() override { return pop(); }

    bool start_array(std::size_t) override { return push(Name::kElement); }

    bool end_array() override { return pop(); }

    bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
        return false;
    }

  private:
    static constexpr std::size_t kMaxDepth = 64;  // deeper names are not kept, and none matters

    Name at(std::size_t level) const {
        return level < std::min(depth_, kMaxDepth) ? path_[level] : Name::kRoot;
    }

    void set(std::size_t level, Name name) {
        if (level < kMaxDepth) path_[level] = name;
    }

    bool push(Name name) {
        set(depth_, name);
        ++depth_;
        return true;
    }

    bool pop() {
        --depth_;
        return true;
    }

    Name last() const { return at(depth_ - 1); }

    // `usage.completion_tokens`, and details both nested and flat.
    bool take(std::int64_t value) {
        if (depth_ < 2 || at(0) != Name::kUsage || !event.usage) return true;
        if (last() == Name::kPromptTokens) event.usage->prompt_tokens = value;
        if (last() == Name::kCompletionTokens) event.usage->completion_tokens = value;
        if (last() == Name::kCachedTokens) event.usage->cached_tokens = value;
        if (last() == Name::kReasoningTokens) event.usage->reasoning_tokens = value;
        return true;
    }

    // `error` is a text, or an object with a `message`.
    void take_error(std::string& value) {
        if (depth_ == 1 || last() == Name::kMessage) event.error = std::move(value);
    }

    // choices[].text, choices[].{delta,message}.{content,reasoning,...}, tool calls' arguments.
    void take_choice(std::string& value) {
        const Name within = at(2);
        if (depth_ == 3 && within == Name::kFinishReason) {
            event.finish_reason = std::move(value);
            return;
        }
        if (value.empty()) return;
        const bool is_message = within == Name::kDelta || within == Name::kMessage;
        const Name name = last();
        const bool is_reasoning = name == Name::kReasoning || name == Name::kReasoningContent;
        const bool is_content = depth_ == 4 && name == Name::kContent;
        const bool is_answer = (depth_ == 3 && within == Name::kText) ||
                               (is_message && (is_content || name == Name::kArguments));
        event.has_answer = event.has_answer || is_answer;
        event.has_text = event.has_text || is_answer || (is_message && depth_ == 4 && is_reasoning);
    }

    std::array<Name, kMaxDepth> path_{};
    std::size_t depth_ = 0;
};

}  // namespace

Result<AnswerEvent> parse_answer_event(std::string_view json) {
    Reader reader;
    const bool is_json = nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
    if (!is_json || !reader.is_object)
        return Error{ErrorCode::kCorrupt, "expected a JSON object from the server", {}};
    return std::move(reader.event);
}

}  // namespace turnpike::gateway::client::bench
