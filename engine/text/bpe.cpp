// Short pieces are scanned for the lowest rank again after each merge, which beats a heap up to
// some dozens of symbols; long ones (text without spaces) keep the candidates in a heap.
#include "engine/text/bpe.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "config/base/check.h"

namespace turnpike::engine::text {
namespace {

constexpr std::size_t kMaxShortPiece = 40;
constexpr std::size_t kMinSlots = 1024;

std::size_t hash_pair(std::uint64_t key) {
    key *= 0x9E3779B97F4A7C15U;  // Fibonacci hashing (Knuth, volume 3, section 6.4)
    return static_cast<std::size_t>(key ^ key >> 32);
}

std::uint64_t candidate(std::int32_t rank, std::int32_t position) {
    return static_cast<std::uint64_t>(rank) << 32 | static_cast<std::uint32_t>(position);
}

}  // namespace

Bpe::Bpe(const std::array<TokenId, 256>& byte_tokens)
    : byte_tokens_(byte_tokens), slots_(kMinSlots) {}

std::uint64_t Bpe::pair_key(TokenId left, TokenId right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
}

Bpe::Merge Bpe::find(TokenId left, TokenId right) const {
    const std::uint64_t key = pair_key(left, right);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t i = hash_pair(key) & mask;; i = (i + 1) & mask) {
        const Slot& slot = slots_[i];
        if (slot.pair == key) return slot.merge;
        if (slot.pair == kEmpty) return {};
    }
}

void Bpe::reserve(std::size_t num_merges) {
    std::size_t size = slots_.size();
    while (size < num_merges * 2 + 2) size *= 2;
    if (size > slots_.size()) resize(size);
}

void Bpe::resize(std::size_t num_slots) {
    std::vector<Slot> old(num_slots);
    old.swap(slots_);
    const std::size_t mask = slots_.size() - 1;
    for (const Slot& slot : old) {
        if (slot.pair == kEmpty) continue;
        std::size_t i = hash_pair(slot.pair) & mask;
        while (slots_[i].pair != kEmpty) i = (i + 1) & mask;
        slots_[i] = slot;
    }
}

void Bpe::add_merge(TokenId left, TokenId right, TokenId merged) {
    if (num_used_ * 2 >= slots_.size()) resize(slots_.size() * 2);
    const std::uint64_t key = pair_key(left, right);
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = hash_pair(key) & mask;
    while (slots_[i].pair != kEmpty && slots_[i].pair != key) i = (i + 1) & mask;
    if (slots_[i].pair == kEmpty) ++num_used_;
    slots_[i] = {key, {next_rank_++, merged}};
}

void Bpe::index_whole_tokens(const std::vector<std::string>& bytes_of) {
    std::size_t size = kMinSlots;
    while (size < bytes_of.size() * 2) size *= 2;
    std::vector<TokenId> whole(size, -1);
    Workspace workspace;
    std::vector<TokenId> tokens;
    for (std::size_t id = 0; id < bytes_of.size(); ++id) {
        const std::string& bytes = bytes_of[id];
        if (bytes.empty()) continue;
        tokens.clear();
        encode(bytes, bytes_of, workspace, tokens);
        if (tokens.size() != 1 || tokens[0] != static_cast<TokenId>(id)) continue;
        std::size_t i = std::hash<std::string_view>()(bytes) & (size - 1);
        while (whole[i] >= 0) i = (i + 1) & (size - 1);
        whole[i] = static_cast<TokenId>(id);
    }
    whole_ = std::move(whole);
}

TokenId Bpe::whole_token(std::string_view piece, const std::vector<std::string>& bytes_of) const {
    if (whole_.empty()) return -1;
    const std::size_t mask = whole_.size() - 1;
    std::size_t i = std::hash<std::string_view>()(piece) & mask;
    while (whole_[i] >= 0 && bytes_of[static_cast<std::size_t>(whole_[i])] != piece)
        i = (i + 1) & mask;
    return whole_[i];
}

void Bpe::encode(std::string_view piece,
                 const std::vector<std::string>& bytes_of,
                 Workspace& workspace,
                 std::vector<TokenId>& out) const {
    const TokenId whole = whole_token(piece, bytes_of);
    if (whole >= 0) {
        out.push_back(whole);
    } else if (piece.size() <= kMaxShortPiece) {
        encode_short(piece, out);
    } else {
        encode_long(piece, workspace, out);
    }
}

void Bpe::encode_short(std::string_view piece, std::vector<TokenId>& out) const {
    std::array<TokenId, kMaxShortPiece> tokens;
    std::array<Merge, kMaxShortPiece> merges;
    std::size_t size = piece.size();
    for (std::size_t i = 0; i < size; ++i)
        tokens[i] = byte_tokens_[static_cast<std::uint8_t>(piece[i])];
    for (std::size_t i = 0; i + 1 < size; ++i) merges[i] = find(tokens[i], tokens[i + 1]);
    while (size > 1) {
        std::size_t best = 0;
        for (std::size_t i = 1; i + 1 < size; ++i) {
            if (merges[i].rank < merges[best].rank) best = i;
        }
        if (merges[best].rank == kNoRank) break;
        tokens[best] = merges[best].merged;
        --size;
        for (std::size_t i = best + 1; i < size; ++i) {
            tokens[i] = tokens[i + 1];
            merges[i - 1] = merges[i];
        }
        if (best + 1 < size) merges[best] = find(tokens[best], tokens[best + 1]);
        if (best > 0) merges[best - 1] = find(tokens[best - 1], tokens[best]);
    }
    out.insert(out.end(), tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(size));
}

void Bpe::encode_long(std::string_view piece,
                      Workspace& workspace,
                      std::vector<TokenId>& out) const {
    auto& symbols = workspace.symbols;
    auto& heap = workspace.heap;
    CHECK(piece.size() < static_cast<std::size_t>(kNoRank));
    const auto end = static_cast<std::int32_t>(piece.size());
    symbols.clear();
    heap.clear();
    for (std::int32_t i = 0; i < end; ++i) {
        const auto byte = static_cast<std::uint8_t>(piece[static_cast<std::size_t>(i)]);
        symbols.push_back({byte_tokens_[byte], i - 1, i + 1, {}});
    }
    const auto at = [&](std::int32_t index) -> Workspace::Symbol& {
        return symbols[static_cast<std::size_t>(index)];
    };
    // Finds the merge of a symbol and its next; true when there is one.
    const auto renew = [&](std::int32_t position) {
        Workspace::Symbol& symbol = at(position);
        symbol.merge = symbol.next < end ? find(symbol.token, at(symbol.next).token) : Merge();
        if (symbol.merge.rank == kNoRank) return false;
        heap.push_back(candidate(symbol.merge.rank, position));
        return true;
    };
    for (std::int32_t i = 0; i < end; ++i) (void)renew(i);
    std::make_heap(heap.begin(), heap.end(), std::greater<>());
    const auto push = [&](std::int32_t position) {
        if (renew(position)) std::push_heap(heap.begin(), heap.end(), std::greater<>());
    };
    while (!heap.empty()) {
        const std::uint64_t best = heap.front();
        std::pop_heap(heap.begin(), heap.end(), std::greater<>());
        heap.pop_back();
        const auto position = static_cast<std::int32_t>(best & 0xFFFFFFFFU);
        Workspace::Symbol& left = at(position);
        if (left.merge.rank != static_cast<std::int32_t>(best >> 32)) continue;  // merged since
        Workspace::Symbol& right = at(left.next);
        left.token = left.merge.merged;
        left.next = right.next;
        right.merge = Merge();
        if (left.next < end) at(left.next).previous = position;
        push(position);
        if (left.previous >= 0) push(left.previous);
    }
    for (std::int32_t i = 0; i < end; i = at(i).next) out.push_back(at(i).token);
}

}  // namespace turnpike::engine::text
