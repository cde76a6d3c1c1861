#include "engine/text/special_tokens.h"

#include <algorithm>
#include <cstdint>

namespace turnpike::engine::text {

void AddedTokens::add(std::string text, TokenId id) {
    if (text.empty() || !ids_.emplace(text, id).second) return;
    auto& bucket = by_first_byte_[static_cast<std::uint8_t>(text[0])];
    const auto is_longer = [](const std::string& a, const std::string& b) {
        return a.size() > b.size();
    };
    bucket.insert(std::upper_bound(bucket.begin(), bucket.end(), text, is_longer), text);
}

std::optional<TokenId> AddedTokens::find(std::string_view text) const {
    const auto entry = ids_.find(std::string(text));
    if (entry == ids_.end()) return {};
    return entry->second;
}

std::optional<AddedTokens::Match> AddedTokens::next(std::string_view text, std::size_t from) const {
    for (std::size_t at = from; at < text.size(); ++at) {
        for (const std::string& candidate : by_first_byte_[static_cast<std::uint8_t>(text[at])]) {
            if (text.substr(at).starts_with(candidate)) {
                return Match{at, candidate.size(), ids_.at(candidate)};
            }
        }
    }
    return {};
}

}  // namespace turnpike::engine::text
