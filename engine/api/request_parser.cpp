// Request bodies to typed requests, by simdjson's DOM, which validates the whole text and its
// UTF-8.
#include <simdjson.h>

#include <charconv>
#include <limits>
#include <utility>

#include "config/base/limits.h"
#include "engine/api/codec.h"

namespace turnpike::engine {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::element_type;
using simdjson::dom::object;

std::string_view type_name(element value) {
    switch (value.type()) {
        case element_type::ARRAY:
            return "an array";
        case element_type::OBJECT:
            return "an object";
        case element_type::INT64:
        case element_type::UINT64:
            return "an integer";
        case element_type::DOUBLE:
            return "a number";
        case element_type::STRING:
            return "a string";
        case element_type::BOOL:
            return "a boolean";
        case element_type::NULL_VALUE:
            return "null";
    }
    return "an unknown value";
}

// Reads members of one object; the first error wins. null reads as absent.
class Members {
  public:
    Members(object members, std::string prefix) : members_(members), prefix_(std::move(prefix)) {}

    std::optional<element> find(const char* name) const {
        element value;
        if (members_[name].get(value) != simdjson::SUCCESS || value.is_null()) return {};
        return value;
    }

    std::string path(const char* name) const {
        return prefix_.empty() ? name : prefix_ + "." + name;
    }

    void fail(const std::string& param, const std::string& message) {
        if (!error_) error_ = invalid_argument("'" + param + "': " + message, param);
    }

    void fail_type(const std::string& param, std::string_view expected, element found) {
        fail(param,
             "expected " + std::string(expected) + ", found " + std::string(type_name(found)));
    }

    std::optional<std::string> text(const char* name) {
        const auto value = find(name);
        std::string_view view;
        if (!value) return {};
        if (value->get(view) == simdjson::SUCCESS) return std::string(view);
        fail_type(path(name), "a string", *value);
        return {};
    }

    std::optional<bool> boolean(const char* name) {
        const auto value = find(name);
        bool flag = false;
        if (!value) return {};
        if (value->get(flag) == simdjson::SUCCESS) return flag;
        fail_type(path(name), "a boolean", *value);
        return {};
    }

    std::optional<std::int64_t> integer(const char* name, std::int64_t low, std::int64_t high) {
        const auto value = find(name);
        std::int64_t number = 0;
        if (!value) return {};
        if (value->get(number) != simdjson::SUCCESS) {
            fail_type(path(name), "an integer", *value);
            return {};
        }
        if (number < low || number > high) {
            fail(path(name), "expected an integer from " + std::to_string(low) + " to " +
                                 std::to_string(high) + ", found " + std::to_string(number));
        }
        return number;
    }

    // A number in [low, high], or (low, high] when `excludes_low`.
    std::optional<float> number(const char* name,
                                double low,
                                double high,
                                bool excludes_low = false) {
        const auto value = find(name);
        double number = 0;
        if (!value) return {};
        if (value->get(number) != simdjson::SUCCESS) {
            fail_type(path(name), "a number", *value);
            return {};
        }
        const auto rounded = static_cast<float>(number);
        // 1e-60 is over 0, but not as the float that is sampled with.
        const bool is_low = excludes_low && static_cast<double>(rounded) <= low;
        if (!(number >= low && number <= high) || is_low) {
            fail(path(name), "expected a number " + std::string(excludes_low ? "over " : "from ") +
                                 short_text(low) + " to " + short_text(high) + ", found " +
                                 short_text(number));
        }
        return rounded;
    }

    const std::optional<Error>& error() const { return error_; }

    void adopt(const Members& child) {
        if (!error_) error_ = child.error_;
    }

  private:
    static std::string short_text(double number) {
        char text[32];
        std::snprintf(text, sizeof text, "%g", number);
        return text;
    }

    object members_;
    std::string prefix_;
    std::optional<Error> error_;
};

void read_stop(Members& body, CommonRequest& request) {
    const auto value = body.find("stop");
    if (!value) return;
    std::string_view single;
    array list;
    if (value->get(single) == simdjson::SUCCESS) {
        request.stop.emplace_back(single);
    } else if (value->get(list) == simdjson::SUCCESS) {
        for (const element entry : list) {
            if (entry.get(single) != simdjson::SUCCESS)
                return body.fail_type("stop", "strings", entry);
            request.stop.emplace_back(single);
        }
    } else {
        return body.fail_type("stop", "a string or an array of strings", *value);
    }
    if (request.stop.size() > limits::kMaxStopStrings) {
        body.fail("stop", "expected at most " + std::to_string(limits::kMaxStopStrings) +
                              " strings, found " + std::to_string(request.stop.size()));
    }
    for (const std::string& stop : request.stop) {
        if (stop.empty()) body.fail("stop", "expected strings that are not empty");
    }
}

// OpenAI's form is a boolean with `top_logprobs`; Together's older form is an integer.
void read_logprobs(Members& body, CommonRequest& request) {
    const auto alternatives = body.integer("top_logprobs", 0, limits::kMaxTopLogprobs);
    const auto value = body.find("logprobs");
    if (!value) {
        if (alternatives && *alternatives > 0)
            body.fail("top_logprobs", "needs 'logprobs' to be true");
        return;
    }
    bool is_wanted = false;
    if (value->get(is_wanted) == simdjson::SUCCESS) {
        if (is_wanted) request.top_logprobs = static_cast<std::int32_t>(alternatives.value_or(0));
        return;
    }
    const auto count = body.integer("logprobs", 0, limits::kMaxTopLogprobs);
    if (count) request.top_logprobs = static_cast<std::int32_t>(*count);
    request.logprobs_shape = LogprobsShape::kArrays;
}

void read_logit_bias(Members& body, CommonRequest& request) {
    const auto value = body.find("logit_bias");
    if (!value) return;
    object biases;
    if (value->get(biases) != simdjson::SUCCESS)
        return body.fail_type("logit_bias", "an object", *value);
    for (const auto& [key, bias] : biases) {
        TokenId id = -1;
        double number = 0;
        const auto [end, problem] = std::from_chars(key.data(), key.data() + key.size(), id);
        const bool is_id = problem == std::errc() && end == key.data() + key.size() && id >= 0;
        if (!is_id || bias.get(number) != simdjson::SUCCESS || !(number >= -100 && number <= 100)) {
            return body.fail("logit_bias", "expected token ids with biases from -100 to 100");
        }
        request.logit_bias[id] = static_cast<float>(number);
    }
}

void read_seed(Members& body, CommonRequest& request) {
    const auto value = body.find("seed");
    if (!value) return;
    std::uint64_t unsigned_seed = 0;
    std::int64_t signed_seed = 0;
    if (value->get(unsigned_seed) == simdjson::SUCCESS) {
        request.seed = unsigned_seed;
    } else if (value->get(signed_seed) == simdjson::SUCCESS) {
        request.seed = static_cast<std::uint64_t>(signed_seed);
    } else {
        body.fail_type("seed", "an integer", *value);
    }
}

void read_max_tokens(Members& body, CommonRequest& request) {
    constexpr std::int64_t kMax = std::numeric_limits<std::int32_t>::max();
    const std::int64_t least = request.echo ? 0 : 1;
    request.max_tokens = body.integer("max_tokens", least, kMax);
    const auto newer = body.integer("max_completion_tokens", least, kMax);
    if (newer) request.max_tokens = newer;
    request.min_tokens =
        body.integer("min_tokens", 0, request.max_tokens.value_or(kMax)).value_or(0);
    const std::string behavior = body.text("context_length_exceeded_behavior").value_or("error");
    request.truncates_max_tokens = behavior == "truncate";
    if (behavior != "error" && behavior != "truncate") {
        body.fail("context_length_exceeded_behavior",
                  "expected error or truncate, found '" + behavior + "'");
    }
}

void read_num_choices(Members& body, CommonRequest& request) {
    request.n = static_cast<std::int32_t>(body.integer("n", 1, limits::kMaxChoices).value_or(1));
    const auto best_of = body.integer("best_of", 1, limits::kMaxChoices);
    if (best_of && *best_of != request.n) {
        body.fail("best_of", "expected as many as 'n', " + std::to_string(request.n) + ", found " +
                                 std::to_string(*best_of) +
                                 ": choosing the best of more answers is not supported");
    }
}

// As OpenRouter's clients ask for a receipt.
void read_usage(Members& body, CommonRequest& request) {
    const auto usage = body.find("usage");
    if (!usage) return;
    object members;
    if (usage->get(members) != simdjson::SUCCESS) {
        body.fail_type("usage", "an object", *usage);
        return;
    }
    Members inner(members, "usage");
    request.wants_cost = inner.boolean("include").value_or(false);
    body.adopt(inner);
}

void read_common(Members& body, CommonRequest& request) {
    const auto model = body.text("model");
    if (!model || model->empty()) body.fail("model", "expected the name of a model, found none");
    request.model = model.value_or("");
    request.echo = body.boolean("echo").value_or(false);
    read_max_tokens(body, request);
    request.temperature = body.number("temperature", 0, 2);
    request.top_p = body.number("top_p", 0, 1, /*excludes_low=*/true);
    if (const auto top_k = body.integer("top_k", -1, std::numeric_limits<std::int32_t>::max())) {
        request.top_k =
            static_cast<std::int32_t>(std::max<std::int64_t>(*top_k, 0));  // -1 is off, as in vLLM
    }
    request.min_p = body.number("min_p", 0, 1);
    request.repetition_penalty = body.number("repetition_penalty", 0, 100, /*excludes_low=*/true);
    request.presence_penalty = body.number("presence_penalty", -2, 2);
    request.frequency_penalty = body.number("frequency_penalty", -2, 2);
    read_logit_bias(body, request);
    read_seed(body, request);
    read_num_choices(body, request);
    read_stop(body, request);
    request.stream = body.boolean("stream").value_or(false);
    if (const auto options = body.find("stream_options")) {
        object members;
        if (options->get(members) != simdjson::SUCCESS) {
            body.fail_type("stream_options", "an object", *options);
        } else {
            Members inner(members, "stream_options");
            request.include_usage = inner.boolean("include_usage").value_or(false);
            body.adopt(inner);
        }
    }
    read_usage(body, request);
    read_logprobs(body, request);
    request.ignore_eos = body.boolean("ignore_eos").value_or(false);
}

void read_response_format(Members& body) {
    const auto value = body.find("response_format");
    if (!value) return;
    object members;
    if (value->get(members) != simdjson::SUCCESS)
        return body.fail_type("response_format", "an object", *value);
    Members format(members, "response_format");
    const auto type = format.text("type");
    if (type.value_or("") != "text") {
        body.fail("response_format", "only {\"type\": \"text\"} is supported by this server");
    }
}

// A string, or an array of text parts whose texts are joined.
std::string read_content(Members& message) {
    const auto value = message.find("content");
    std::string_view text;
    array parts;
    if (!value) return {};
    if (value->get(text) == simdjson::SUCCESS) return std::string(text);
    if (value->get(parts) != simdjson::SUCCESS) {
        message.fail_type(message.path("content"), "a string or an array of parts", *value);
        return {};
    }
    std::string joined;
    std::size_t index = 0;
    for (const element part : parts) {
        const std::string path = message.path("content") + "[" + std::to_string(index++) + "]";
        std::string_view type;
        if (part["type"].get(type) != simdjson::SUCCESS || type != "text" ||
            part["text"].get(text) != simdjson::SUCCESS) {
            message.fail(path, "expected a part of type \"text\": this model reads text only");
            return {};
        }
        joined += text;
    }
    return joined;
}

void read_tool_calls(Members& message, Message& result) {
    const auto value = message.find("tool_calls");
    if (!value) return;
    array calls;
    if (value->get(calls) != simdjson::SUCCESS) {
        return message.fail_type(message.path("tool_calls"), "an array", *value);
    }
    std::size_t index = 0;
    for (const element call : calls) {
        const std::string path = message.path("tool_calls") + "[" + std::to_string(index++) + "]";
        ToolCall parsed;
        std::string_view text;
        if (call["id"].get(text) == simdjson::SUCCESS) parsed.id = text;
        if (call["type"].get(text) == simdjson::SUCCESS && text != "function")
            return message.fail(path + ".type", "only calls of type \"function\" are supported");
        if (call["function"]["name"].get(text) != simdjson::SUCCESS || text.empty())
            return message.fail(path + ".function.name", "expected the function's name");
        parsed.name = text;
        element arguments;
        if (call["function"]["arguments"].get(arguments) == simdjson::SUCCESS) {
            object members;
            if (arguments.get(text) == simdjson::SUCCESS) {
                parsed.arguments = text;
            } else if (arguments.get(members) == simdjson::SUCCESS) {
                parsed.arguments = simdjson::minify(arguments);
            } else {
                return message.fail_type(path + ".function.arguments", "a string or an object",
                                         arguments);
            }
        }
        result.tool_calls.push_back(std::move(parsed));
    }
}

std::optional<Role> parse_role(std::string_view role) {
    if (role == "user") return Role::kUser;
    if (role == "assistant") return Role::kAssistant;
    if (role == "system" || role == "developer") return Role::kSystem;
    if (role == "tool" || role == "function") return Role::kTool;
    return {};
}

Message read_message(Members& message) {
    Message result;
    const std::string name = message.text("role").value_or("");
    const auto role = parse_role(name);
    if (!role) {
        message.fail(message.path("role"),
                     "expected system, user, assistant or tool, found '" + excerpt(name) + "'");
        return result;
    }
    result.role = *role;
    result.content = read_content(message);
    result.reasoning = message.text("reasoning").value_or("");
    if (result.reasoning.empty()) result.reasoning = message.text("reasoning_content").value_or("");
    read_tool_calls(message, result);
    result.tool_call_id = message.text("tool_call_id").value_or("");
    if (result.role != Role::kAssistant && !result.tool_calls.empty())
        message.fail(message.path("tool_calls"), "only an assistant's message calls tools");
    if (!message.find("content") && result.tool_calls.empty())
        message.fail(message.path("content"), "expected text, found none");
    if (message.boolean("prefix").value_or(false))
        message.fail(message.path("prefix"), "continuing a message is not supported");
    return result;
}

// Tool results answer the calls of the assistant's message before them: the prompt has no other
// place for them.
void check_tool_results(Members& body, const std::vector<Message>& messages) {
    bool may_follow = false;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        const Message& message = messages[i];
        if (message.role == Role::kSystem) continue;  // moves to the front of the prompt
        if (message.role == Role::kTool && !may_follow) {
            body.fail("messages[" + std::to_string(i) + "]",
                      "a tool's message must follow an assistant's message with tool_calls");
        }
        may_follow = message.role == Role::kTool || !message.tool_calls.empty();
    }
}

void read_messages(Members& body, ChatRequest& request) {
    const auto value = body.find("messages");
    array messages;
    if (!value)
        return body.fail("messages", "expected an array with at least one message, found none");
    if (value->get(messages) != simdjson::SUCCESS)
        return body.fail_type("messages", "an array", *value);
    if (messages.size() == 0 || messages.size() > limits::kMaxMessages) {
        return body.fail("messages", "expected 1 to " + std::to_string(limits::kMaxMessages) +
                                         " messages, found " + std::to_string(messages.size()));
    }
    std::size_t index = 0;
    for (const element entry : messages) {
        const std::string path = "messages[" + std::to_string(index++) + "]";
        object members;
        if (entry.get(members) != simdjson::SUCCESS)
            return body.fail_type(path, "an object", entry);
        Members message(members, path);
        request.messages.push_back(read_message(message));
        body.adopt(message);
    }
    check_tool_results(body, request.messages);
}

void read_tools(Members& body, ChatRequest& request) {
    const auto value = body.find("tools");
    if (!value) return;
    array tools;
    if (value->get(tools) != simdjson::SUCCESS) return body.fail_type("tools", "an array", *value);
    std::size_t index = 0;
    for (const element tool : tools) {
        std::string_view name;
        if (tool["function"]["name"].get(name) != simdjson::SUCCESS || name.empty()) {
            return body.fail("tools[" + std::to_string(index) + "].function.name",
                             "expected the function's name");
        }
        ++index;
        request.tools.push_back({std::string(name), simdjson::minify(tool)});
    }
}

void read_reasoning_format(Members& body, ChatRequest& request) {
    const auto format = body.text("reasoning_format");
    if (!format) return;
    if (*format == "separate") {
        request.reasoning_format = ReasoningFormat::kSeparate;
    } else if (*format == "inline") {
        request.reasoning_format = ReasoningFormat::kInline;
    } else if (*format == "hidden") {
        request.reasoning_format = ReasoningFormat::kHidden;
    } else {
        body.fail("reasoning_format",
                  "expected separate, inline or hidden, found '" + excerpt(*format) + "'");
    }
}

std::optional<std::vector<TokenId>> read_token_ids(const array& ids) {
    std::vector<TokenId> tokens;
    for (const element entry : ids) {
        std::int64_t id = 0;
        const bool is_id = entry.get(id) == simdjson::SUCCESS && id >= 0 &&
                           id <= std::numeric_limits<TokenId>::max();
        if (!is_id) return {};
        tokens.push_back(static_cast<TokenId>(id));
    }
    return tokens;
}

// Several prompts, of one kind; nothing for a list of anything else.
bool read_prompts(const array& list, CompletionRequest& request) {
    std::vector<std::string> texts;
    std::vector<std::vector<TokenId>> lists;
    for (const element entry : list) {
        std::string_view text;
        array ids;
        if (entry.get(text) == simdjson::SUCCESS) {
            texts.emplace_back(text);
        } else if (entry.get(ids) == simdjson::SUCCESS) {
            auto tokens = read_token_ids(ids);
            if (!tokens || tokens->empty()) return false;
            lists.push_back(*std::move(tokens));
        } else {
            return false;
        }
    }
    if (!texts.empty() && !lists.empty()) return false;
    if (lists.empty()) {
        request.prompt = std::move(texts);
    } else {
        request.prompt = std::move(lists);
    }
    return true;
}

void read_prompt(Members& body, CompletionRequest& request) {
    constexpr std::string_view kExpected = "a string, token ids, or a list of either";
    const auto value = body.find("prompt");
    std::string_view text;
    array list;
    if (!value) return body.fail("prompt", "expected " + std::string(kExpected) + ", found none");
    if (value->get(text) == simdjson::SUCCESS) {
        request.prompt = std::string(text);
        return;
    }
    if (value->get(list) != simdjson::SUCCESS) return body.fail_type("prompt", kExpected, *value);
    if (list.size() == 0) return body.fail("prompt", "expected at least one token id or prompt");
    if (auto tokens = read_token_ids(list)) {
        request.prompt = *std::move(tokens);
        return;
    }
    if (!read_prompts(list, request))
        return body.fail("prompt",
                         "expected " + std::string(kExpected) + ", all of one kind, no list empty");
    const auto num_choices = static_cast<std::int64_t>(list.size()) * request.n;
    if (num_choices > limits::kMaxChoices) {
        body.fail("prompt", "expected at most " + std::to_string(limits::kMaxChoices) +
                                " choices, found " + std::to_string(list.size()) +
                                " prompts with n = " + std::to_string(request.n));
    }
}

// Parses `body` and hands its top object to `read`.
template <class Request, class Read>
Result<Request> parse(std::string_view body, Read read) {
    if (body.size() > limits::kMaxBodyBytes) {
        return Error{ErrorCode::kTooLarge,
                     "the body has " + std::to_string(body.size()) + " bytes; at most " +
                         std::to_string(limits::kMaxBodyBytes) + " are read",
                     {}};
    }
    simdjson::dom::parser parser;
    if (parser.allocate(std::max<std::size_t>(body.size(), 64), limits::kMaxJsonDepth) !=
        simdjson::SUCCESS) {
        return Error{ErrorCode::kInternal, "cannot allocate a JSON parser", {}};
    }
    element root;
    if (const auto problem = parser.parse(body.data(), body.size(), true).get(root);
        problem != simdjson::SUCCESS) {
        return invalid_argument(std::string("the body is not valid JSON: ") +
                                simdjson::error_message(problem));
    }
    object members;
    if (root.get(members) != simdjson::SUCCESS) {
        return invalid_argument("the body: expected a JSON object, found " +
                                std::string(type_name(root)));
    }
    Members top(members, "");
    Request request;
    read(top, request);
    if (top.error()) return *top.error();
    return request;
}

}  // namespace

Result<ChatRequest> parse_chat_request(std::string_view body) {
    return parse<ChatRequest>(body, [](Members& top, ChatRequest& request) {
        read_common(top, request);
        read_messages(top, request);
        read_tools(top, request);
        read_response_format(top);
        read_reasoning_format(top, request);
    });
}

Result<CompletionRequest> parse_completion_request(std::string_view body) {
    return parse<CompletionRequest>(body, [](Members& top, CompletionRequest& request) {
        read_common(top, request);
        request.logprobs_shape = LogprobsShape::kArrays;
        read_prompt(top, request);
    });
}

}  // namespace turnpike::engine
