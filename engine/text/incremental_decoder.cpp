#include "engine/text/incremental_decoder.h"

#include "engine/text/utf8.h"

namespace turnpike::engine::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace

std::string IncrementalDecoder::push_bytes(std::string_view bytes) {
    held_ += bytes;
    std::string text;
    std::string_view rest = held_;
    while (!rest.empty()) {
        const Utf8Step step = next_utf8(rest);
        if (step.is_unfinished) break;
        text += step.is_valid ? rest.substr(0, step.length) : kReplacement;
        rest.remove_prefix(step.length);
    }
    held_ = std::string(rest);
    return text;
}

std::string IncrementalDecoder::flush() {
    const bool has_held = !held_.empty();
    held_.clear();
    return has_held ? std::string(kReplacement) : std::string();
}

}  // namespace turnpike::engine::text
