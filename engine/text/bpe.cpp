#include "engine/text/bpe.h"

#include <queue>
#include <tuple>

namespace turnpike::engine::text {
namespace {

std::uint64_t pair_key(TokenId left, TokenId right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
}

// A doubly linked list of symbols in one vector; a merged-away symbol has token -1.
struct Symbol {
    TokenId token;
    std::int32_t previous;
    std::int32_t next;
};

struct Candidate {
    std::int32_t rank;
    std::int32_t position;  // of the left symbol
    TokenId left;
    TokenId right;
    TokenId merged;

    // std::priority_queue keeps the largest on top: lower rank first, then further left.
    bool operator<(const Candidate& other) const {
        return std::tie(other.rank, other.position) < std::tie(rank, position);
    }
};

}  // namespace

void Bpe::add_merge(TokenId left, TokenId right, TokenId merged) {
    merges_.try_emplace(pair_key(left, right),
                        Merge{static_cast<std::int32_t>(merges_.size()), merged});
}

const Bpe::Merge* Bpe::find(TokenId left, TokenId right) const {
    const auto entry = merges_.find(pair_key(left, right));
    return entry == merges_.end() ? nullptr : &entry->second;
}

void Bpe::encode(std::string_view piece, std::vector<TokenId>& out) const {
    std::vector<Symbol> symbols;
    symbols.reserve(piece.size());
    for (const char c : piece) {
        const auto index = static_cast<std::int32_t>(symbols.size());
        symbols.push_back({byte_tokens_[static_cast<std::uint8_t>(c)], index - 1, index + 1});
    }
    const auto end = static_cast<std::int32_t>(symbols.size());
    const auto at = [&](std::int32_t index) -> Symbol& {
        return symbols[static_cast<std::size_t>(index)];
    };

    std::priority_queue<Candidate> candidates;
    const auto consider = [&](std::int32_t position) {
        if (position < 0 || at(position).next >= end) return;
        const TokenId left = at(position).token;
        const TokenId right = at(at(position).next).token;
        if (const Merge* merge = find(left, right)) {
            candidates.push({merge->rank, position, left, right, merge->merged});
        }
    };
    for (std::int32_t i = 0; i < end; ++i) consider(i);
    while (!candidates.empty()) {
        const Candidate best = candidates.top();
        candidates.pop();
        Symbol& left = at(best.position);
        const bool is_stale =
            left.token != best.left || left.next >= end || at(left.next).token != best.right;
        if (is_stale) continue;
        Symbol& right = at(left.next);
        left.token = best.merged;
        left.next = right.next;
        right.token = -1;
        if (left.next < end) at(left.next).previous = best.position;
        consider(best.position);
        consider(left.previous);
    }
    for (std::int32_t i = 0; i < end; i = at(i).next) out.push_back(at(i).token);
}

}  // namespace turnpike::engine::text
