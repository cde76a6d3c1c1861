#include "engine/core/token_history.h"

namespace turnpike::engine {

void TokenHistory::add_prompt(std::span<const TokenId> tokens) {
    for (const TokenId token : tokens) (void)entry(token);
}

void TokenHistory::add_generated(TokenId token) {
    ++entry(token).num_generated;
}

SeenToken& TokenHistory::entry(TokenId token) {
    const auto [position, is_new] = index_.try_emplace(token, seen_.size());
    if (is_new) seen_.push_back({token, 0});
    return seen_[position->second];
}

}  // namespace turnpike::engine
