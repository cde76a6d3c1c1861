#include "engine/text/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace turnpike::engine::text {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

std::string StopMatcher::push(std::string_view text) {
    if (has_matched_) return {};
    if (stops_.empty()) return std::string(text);
    held_ += text;
    // The one that is complete first, so that it does not matter how the text was cut; of several
    // that end there, the longest.
    std::size_t first_begin = 0;
    std::size_t first_end = std::string::npos;
    for (const std::string& stop : stops_) {
        const std::size_t begin = held_.find(stop);
        if (begin == std::string::npos) continue;
        const std::size_t end = begin + stop.size();
        if (end < first_end || (end == first_end && begin < first_begin)) {
            first_begin = begin;
            first_end = end;
        }
    }
    if (first_end != std::string::npos) {
        has_matched_ = true;
        return std::exchange(held_, {}).substr(0, first_begin);
    }
    // The longest end of the text that a stop string could begin with stays.
    std::size_t keep = 0;
    for (const std::string& stop : stops_) {
        for (std::size_t length = std::min(stop.size() - 1, held_.size()); length > keep;
             --length) {
            if (held_.ends_with(std::string_view(stop).substr(0, length))) keep = length;
        }
    }
    std::string out = held_.substr(0, held_.size() - keep);
    held_.erase(0, held_.size() - keep);
    return out;
}

std::string StopMatcher::flush() {
    return std::exchange(held_, {});
}

}  // namespace turnpike::engine::text
