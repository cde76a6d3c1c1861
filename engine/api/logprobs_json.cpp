#include "engine/api/logprobs_json.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "engine/api/json_text.h"

namespace turnpike::engine {
namespace {

// JSON has no infinity; OpenAI's API writes this for the impossible.
constexpr float kLowest = -9999.0F;

std::string number(float logprob) {
    char text[32];
    std::snprintf(text, sizeof text, "%.9g", static_cast<double>(std::max(logprob, kLowest)));
    return text;
}

// [a,b,...] of what `append` writes for each entry.
template <class List, class Append>
void append_list(std::string& out, const List& list, Append append) {
    out += '[';
    bool is_first = true;
    for (const auto& entry : list) {
        if (!is_first) out += ',';
        is_first = false;
        append(entry);
    }
    out += ']';
}

void append_token(std::string& out, const TokenDetail& token, bool has_logprob = true) {
    append_member(out, "token", spell_out(token.bytes));
    append_name(out, "bytes");
    append_list(out, token.bytes,
                [&](char c) { out += std::to_string(static_cast<std::uint8_t>(c)); });
    append_raw_member(out, "logprob", has_logprob ? number(token.logprob) : "null");
}

void append_content(std::string& out, const Logprobs& logprobs) {
    append_name(out, "content");
    append_list(out, logprobs.tokens, [&](const SampledDetail& detail) {
        out += '{';
        append_token(out, detail.sampled, detail.has_logprob);
        append_name(out, "top_logprobs");
        append_list(out, detail.alternatives, [&](const TokenDetail& other) {
            out += '{';
            append_token(out, other);
            out += '}';
        });
        out += '}';
    });
    append_raw_member(out, "refusal", "null");
}

// Distinct tokens may look the same; the likeliest of them speaks for all.
void append_alternatives(std::string& out, const std::vector<TokenDetail>& alternatives) {
    std::vector<std::string> names;
    out += '{';
    for (const TokenDetail& other : alternatives) {
        std::string name = spell_out(other.bytes);
        if (std::find(names.begin(), names.end(), name) != names.end()) continue;
        if (!names.empty()) out += ',';
        append_json_string(out, name);
        out += ':';
        out += number(other.logprob);
        names.push_back(std::move(name));
    }
    out += '}';
}

void append_arrays(std::string& out, const Logprobs& logprobs) {
    append_name(out, "token_ids");
    append_list(out, logprobs.tokens,
                [&](const SampledDetail& detail) { out += std::to_string(detail.sampled.token); });
    append_name(out, "tokens");
    append_list(out, logprobs.tokens, [&](const SampledDetail& detail) {
        append_json_string(out, spell_out(detail.sampled.bytes));
    });
    append_name(out, "token_logprobs");
    append_list(out, logprobs.tokens, [&](const SampledDetail& detail) {
        out += detail.has_logprob ? number(detail.sampled.logprob) : "null";
    });
    const bool has_alternatives =
        std::any_of(logprobs.tokens.begin(), logprobs.tokens.end(),
                    [](const SampledDetail& detail) { return !detail.alternatives.empty(); });
    if (!has_alternatives) return append_raw_member(out, "top_logprobs", "null");
    append_name(out, "top_logprobs");
    append_list(out, logprobs.tokens, [&](const SampledDetail& detail) {
        if (!detail.has_logprob) return void(out += "null");
        append_alternatives(out, detail.alternatives);
    });
}

}  // namespace

void append_logprobs(std::string& out, const std::optional<Logprobs>& logprobs) {
    if (!logprobs) return append_raw_member(out, "logprobs", "null");
    append_name(out, "logprobs");
    out += '{';
    if (logprobs->shape == LogprobsShape::kContent) {
        append_content(out, *logprobs);
    } else {
        append_arrays(out, *logprobs);
    }
    out += '}';
}

}  // namespace turnpike::engine
