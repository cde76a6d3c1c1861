// What holds for requests of both routes once they are accepted: the bounds of sampling.h and of
// limits.h.
#pragma once

#include <cmath>
#include <string_view>

#include "config/base/limits.h"
#include "engine/api/request.h"
#include "engine/text/utf8.h"
#include "tests/fuzz/target.h"

namespace turnpike::fuzz {

inline bool is_utf8(std::string_view text) {
    return engine::text::valid_utf8_prefix(text) == text.size();
}

inline void check_refusal(const Error& error) {
    check_error(error, {ErrorCode::kInvalidArgument, ErrorCode::kTooLarge});
    CHECK(is_utf8(error.message));
}

// Set: in [low, high], or over low where `excludes_low`.
inline void check_range(const std::optional<float>& value,
                        float low,
                        float high,
                        bool excludes_low = false) {
    if (!value) return;
    CHECK(std::isfinite(*value));
    CHECK(excludes_low ? *value > low : *value >= low);
    CHECK(*value <= high);
}

inline void check_common(const engine::CommonRequest& request) {
    CHECK(!request.model.empty() && is_utf8(request.model));
    if (request.max_tokens) CHECK(*request.max_tokens >= (request.echo ? 0 : 1));
    CHECK(request.min_tokens >= 0);
    if (request.max_tokens) CHECK(request.min_tokens <= *request.max_tokens);
    check_range(request.temperature, 0, 2);
    check_range(request.top_p, 0, 1, true);
    check_range(request.min_p, 0, 1);
    check_range(request.repetition_penalty, 0, 100, true);
    check_range(request.presence_penalty, -2, 2);
    check_range(request.frequency_penalty, -2, 2);
    if (request.top_k) CHECK(*request.top_k >= 0);
    for (const auto& [token, bias] : request.logit_bias) {
        CHECK(token >= 0);
        check_range(bias, -100, 100);
    }
    CHECK(request.n >= 1 && request.n <= limits::kMaxChoices);
    CHECK(request.stop.size() <= limits::kMaxStopStrings);
    for (const std::string& stop : request.stop) CHECK(!stop.empty() && is_utf8(stop));
    if (request.top_logprobs) {
        CHECK(*request.top_logprobs >= 0 && *request.top_logprobs <= limits::kMaxTopLogprobs);
    }
}

}  // namespace turnpike::fuzz
