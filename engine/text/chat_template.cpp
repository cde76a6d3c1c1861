#include "engine/text/chat_template.h"

#include <string_view>

#include "engine/text/special_tokens.h"

namespace turnpike::engine::text {
namespace {

constexpr std::string_view kFenceBegin = "\n```json\n";
constexpr std::string_view kFenceEnd = "\n```";

// Frozen: see ops/docs/decisions/0003-tool-prompt.md.
constexpr std::string_view kToolIntroduction =
    "You may call the tools listed below. To call one, write exactly this, with the arguments as "
    "one JSON object, and "
    "then stop:\n";
constexpr std::string_view kToolHeading = "\n## Tools\n";

std::string after_last_thought(const std::string& content) {
    const std::size_t end = content.rfind(special::kThinkEnd);
    return end == std::string::npos ? content : content.substr(end + special::kThinkEnd.size());
}

class Renderer {
  public:
    explicit Renderer(std::vector<PromptPiece>& pieces) : pieces_(pieces) {}

    void system(std::span<const Message> messages, std::span<const Tool> tools) {
        token(special::kBos);
        std::string joined;
        bool has_system = false;
        for (const Message& message : messages) {
            if (message.role != Role::kSystem) continue;
            if (has_system) joined += "\n\n";
            joined += message.content;
            has_system = true;
        }
        plain(joined);
        if (!tools.empty()) describe(tools, has_system);
    }

    void add(const Message& message) {
        switch (message.role) {
            case Role::kSystem:
                return;
            case Role::kUser:
                return user(message);
            case Role::kAssistant:
                return assistant(message);
            case Role::kTool:
                return tool_result(message);
        }
    }

    void finish(bool add_generation_prompt) {
        if (close_outputs()) return;  // the model goes on after its tools' results
        if (add_generation_prompt && !opens_assistant_) token(special::kAssistant);
    }

  private:
    void token(std::string_view text) { pieces_.push_back({std::string(text), true}); }

    void plain(std::string_view text) {
        if (!text.empty()) pieces_.push_back({std::string(text), false});
    }

    void describe(std::span<const Tool> tools, bool has_system) {
        if (has_system) plain("\n\n");
        plain(kToolIntroduction);
        token(special::kToolCallsBegin);
        token(special::kToolCallBegin);
        plain("function");
        token(special::kToolSep);
        plain("NAME");
        plain(kFenceBegin);
        plain("ARGUMENTS");
        plain(kFenceEnd);
        token(special::kToolCallEnd);
        token(special::kToolCallsEnd);
        plain("\n");
        plain(kToolHeading);
        for (const Tool& tool : tools) {
            plain(kFenceBegin);
            plain(tool.json);
            plain(kFenceEnd);
            plain("\n");
        }
    }

    bool close_outputs() {
        if (!is_in_outputs_) return false;
        token(special::kToolOutputsEnd);
        is_in_outputs_ = false;
        return true;
    }

    void user(const Message& message) {
        close_outputs();
        token(special::kUser);
        plain(message.content);
        token(special::kAssistant);
        opens_assistant_ = true;
    }

    void assistant(const Message& message) {
        close_outputs();
        plain(after_last_thought(message.content));
        for (std::size_t i = 0; i < message.tool_calls.size(); ++i)
            call(message.tool_calls[i], i == 0);
        if (!message.tool_calls.empty()) token(special::kToolCallsEnd);
        token(special::kEos);
        opens_assistant_ = false;
    }

    void call(const ToolCall& call, bool is_first) {
        if (is_first) {
            token(special::kToolCallsBegin);
        } else {
            plain("\n");
        }
        token(special::kToolCallBegin);
        plain("function");
        token(special::kToolSep);
        plain(call.name);
        plain(kFenceBegin);
        plain(call.arguments);
        plain(kFenceEnd);
        token(special::kToolCallEnd);
    }

    void tool_result(const Message& message) {
        if (is_in_outputs_) {
            plain("\n");
        } else {
            token(special::kToolOutputsBegin);
        }
        token(special::kToolOutputBegin);
        plain(message.content);
        token(special::kToolOutputEnd);
        is_in_outputs_ = true;
        opens_assistant_ = false;
    }

    std::vector<PromptPiece>& pieces_;
    bool is_in_outputs_ = false;
    bool opens_assistant_ = false;
};

}  // namespace

std::vector<PromptPiece> render_chat(std::span<const Message> messages,
                                     std::span<const Tool> tools,
                                     bool add_generation_prompt) {
    std::vector<PromptPiece> pieces;
    Renderer renderer(pieces);
    renderer.system(messages, tools);
    for (const Message& message : messages) renderer.add(message);
    renderer.finish(add_generation_prompt);
    return pieces;
}

std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer,
                                   std::span<const PromptPiece> pieces) {
    std::vector<TokenId> tokens;
    std::string plain;
    const auto append_plain = [&] {
        const std::vector<TokenId> more = tokenizer.encode(plain, SpecialTokens::kPlain);
        tokens.insert(tokens.end(), more.begin(), more.end());
        plain.clear();
    };
    for (const PromptPiece& piece : pieces) {
        // A tokenizer may lack a token of the template (the 8B distill has none for tool calls):
        // then it is text like the text around it.
        const auto token = piece.is_template ? tokenizer.find_special(piece.text) : std::nullopt;
        if (!token) {
            plain += piece.text;
            continue;
        }
        append_plain();
        tokens.push_back(*token);
    }
    append_plain();
    return tokens;
}

std::string to_text(std::span<const PromptPiece> pieces) {
    std::string text;
    for (const PromptPiece& piece : pieces) text += piece.text;
    return text;
}

}  // namespace turnpike::engine::text
