// Answers, chunks and model lists to JSON text, appended directly: one chunk a token is the
// engine's most frequent text.
#include "config/base/check.h"
#include "engine/api/codec.h"
#include "engine/api/json_text.h"
#include "engine/api/logprobs_json.h"

namespace turnpike::engine {
namespace {

constexpr std::int64_t kTokensPerListedPrice = 1'000'000;

std::string usage_json(const TokenUsage& usage) {
    std::string out = "{";
    append_member(out, "prompt_tokens", usage.prompt_tokens);
    append_member(out, "completion_tokens", usage.completion_tokens);
    append_member(out, "total_tokens", usage.prompt_tokens + usage.completion_tokens);
    append_member(out, "cached_tokens", usage.cached_tokens);
    append_member(out, "reasoning_tokens", usage.reasoning_tokens);
    append_raw_member(out, "prompt_tokens_details",
                      "{\"cached_tokens\":" + std::to_string(usage.cached_tokens) + "}");
    append_raw_member(out, "completion_tokens_details",
                      "{\"reasoning_tokens\":" + std::to_string(usage.reasoning_tokens) + "}");
    return out + "}";
}

void append_head(std::string& out,
                 const std::string& id,
                 std::string_view object,
                 std::int64_t created_unix_s,
                 const std::string& model) {
    append_member(out, "id", id);
    append_member(out, "object", object);
    append_member(out, "created", created_unix_s);
    append_member(out, "model", model);
}

void append_tool_calls(std::string& out, const std::vector<ToolCall>& calls) {
    append_name(out, "tool_calls");
    out += '[';
    for (std::size_t i = 0; i < calls.size(); ++i) {
        out += i == 0 ? "{" : ",{";
        append_member(out, "id", calls[i].id);
        append_member(out, "index", static_cast<long long>(i));
        append_member(out, "type", "function");
        append_name(out, "function");
        out += '{';
        append_member(out, "name", calls[i].name);
        append_member(out, "arguments", calls[i].arguments);
        out += "}}";
    }
    out += ']';
}

void append_message(std::string& out, const Choice& choice) {
    append_name(out, "message");
    out += '{';
    append_member(out, "role", "assistant");
    append_member(out, "content", choice.text);
    if (choice.reasoning) {
        append_member(out, "reasoning", *choice.reasoning);
        append_member(out, "reasoning_content", *choice.reasoning);
    }
    append_tool_calls(out, choice.tool_calls);
    out += '}';
}

void append_prompt(std::string& out, const std::vector<EchoedPrompt>& prompts) {
    append_name(out, "prompt");
    out += '[';
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        out += i == 0 ? "{" : ",{";
        append_member(out, "text", prompts[i].text);
        append_logprobs(out, prompts[i].logprobs);
        out += '}';
    }
    out += ']';
}

std::string write_answer(const Answer& answer, bool is_chat) {
    std::string out = "{";
    append_head(out, answer.id, is_chat ? "chat.completion" : "text_completion",
                answer.created_unix_s, answer.model);
    append_prompt(out, answer.prompt);
    append_name(out, "choices");
    out += '[';
    for (std::size_t i = 0; i < answer.choices.size(); ++i) {
        const Choice& choice = answer.choices[i];
        out += i == 0 ? "{" : ",{";
        append_member(out, "index", choice.index);
        if (is_chat) {
            append_message(out, choice);
        } else {
            append_member(out, "text", choice.text);
        }
        append_logprobs(out, choice.logprobs);
        append_member(out, "finish_reason", to_string(choice.finish_reason));
        append_raw_member(out, "seed", std::to_string(choice.seed));
        out += '}';
    }
    out += ']';
    append_raw_member(out, "usage", usage_json(answer.usage));
    return out + "}";
}

void append_delta(std::string& out, const Delta& delta, bool is_chat) {
    append_member(out, "index", delta.index);
    if (is_chat) {
        append_name(out, "delta");
        out += '{';
        append_member(out, "role", "assistant");
        append_member(out, "content", delta.text);
        if (!delta.reasoning.empty()) {
            append_member(out, "reasoning", delta.reasoning);
            append_member(out, "reasoning_content", delta.reasoning);
        }
        out += '}';
    } else {
        append_member(out, "text", delta.text);
    }
    append_logprobs(out, delta.logprobs);
    if (delta.finish_reason) {
        append_member(out, "finish_reason", to_string(*delta.finish_reason));
    } else {
        append_raw_member(out, "finish_reason", "null");
    }
}

std::string write_chunk(const Chunk& chunk, bool is_chat) {
    std::string out = "{";
    append_head(out, chunk.id, is_chat ? "chat.completion.chunk" : "text_completion",
                chunk.created_unix_s, chunk.model);
    append_name(out, "choices");
    out += '[';
    for (std::size_t i = 0; i < chunk.choices.size(); ++i) {
        out += i == 0 ? "{" : ",{";
        append_delta(out, chunk.choices[i], is_chat);
        out += '}';
    }
    out += ']';
    append_raw_member(out, "usage", chunk.usage ? usage_json(*chunk.usage) : "null");
    return out + "}";
}

std::string price_json(const Price& price) {
    const auto listed = [](NanoUsd per_token) {
        return format_usd(multiply(per_token, kTokensPerListedPrice));
    };
    std::string out = "{";
    append_raw_member(out, "hourly", "0");
    append_raw_member(out, "input", listed(price.input_nano_usd));
    append_raw_member(out, "output", listed(price.output_nano_usd));
    append_raw_member(out, "cached_input", listed(price.cached_input_nano_usd));
    append_raw_member(out, "base", "0");
    append_raw_member(out, "finetune", "0");
    return out + "}";
}

}  // namespace

std::string_view to_string(FinishReason reason) {
    switch (reason) {
        case FinishReason::kStop:
            return "stop";
        case FinishReason::kLength:
            return "length";
        case FinishReason::kToolCalls:
            return "tool_calls";
    }
    CHECK(false && "unknown FinishReason");
}

std::string write_chat_answer(const Answer& answer) {
    return write_answer(answer, true);
}

std::string write_completion_answer(const Answer& answer) {
    return write_answer(answer, false);
}

std::string write_chat_chunk(const Chunk& chunk) {
    return write_chunk(chunk, true);
}

std::string write_completion_chunk(const Chunk& chunk) {
    return write_chunk(chunk, false);
}

std::string write_model(const ModelRow& row) {
    std::string out = "{";
    append_member(out, "id", row.id);
    append_member(out, "object", "model");
    append_member(out, "created", row.created_unix_s);
    append_member(out, "owned_by", row.organization);
    append_member(out, "type", row.type);
    append_raw_member(out, "running", "true");
    append_member(out, "display_name", row.display_name);
    append_member(out, "organization", row.organization);
    append_member(out, "context_length", row.context_length);
    append_member(out, "max_model_len", row.context_length);
    if (row.price) append_raw_member(out, "pricing", price_json(*row.price));
    return out + "}";
}

std::string write_model_list(std::span<const ModelRow> rows, bool bare_array) {
    std::string out = bare_array ? "[" : "{\"object\":\"list\",\"data\":[";
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (i > 0) out += ',';
        out += write_model(rows[i]);
    }
    return out + (bare_array ? "]" : "]}");
}

}  // namespace turnpike::engine
