// ShardedTable: rows by id, where a changed copy shares every shard that the change does not touch:
// a delta of one row costs the copy of one shard, however many rows there are.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace turnpike::gateway {

// A MAC as it is computed: 32 bytes that are as good as random.
using Mac = std::array<std::uint8_t, 32>;

// How ids are looked up: by what, their hash, and eight bytes that tell them apart.
struct TextIds {
    using Id = std::string;
    using View = std::string_view;

    static std::size_t hash(std::string_view id) { return std::hash<std::string_view>()(id); }

    // The end, where ids differ.
    static std::uint64_t tell(std::string_view id) {
        std::uint64_t end = id.size();
        const std::size_t count = std::min<std::size_t>(id.size(), sizeof end);
        std::memcpy(&end, id.data() + id.size() - count, count);
        return end;
    }
};

struct MacIds {
    using Id = Mac;
    using View = const Mac&;

    static std::size_t hash(const Mac& id) {
        std::size_t begin = 0;
        std::memcpy(&begin, id.data(), sizeof begin);
        return begin;
    }

    static std::uint64_t tell(const Mac& id) {
        std::uint64_t end = 0;
        std::memcpy(&end, id.data() + id.size() - sizeof end, sizeof end);
        return end;
    }
};

// Const functions are thread-safe. A row lives as long as a table that has it.
template <class Row, class Ids = TextIds>
class ShardedTable {
  public:
    using Shared = std::shared_ptr<const Row>;
    using View = typename Ids::View;

    ShardedTable() = default;

    // The shards are shared until one of the two is changed.
    ShardedTable(const ShardedTable& other) : shards_(other.shards_), size_(other.size_) {}

    ShardedTable& operator=(const ShardedTable&) = delete;

    std::size_t size() const { return size_; }

    // Null when there is none.
    const Row* find(View id) const {
        const auto* const place = look(id);
        return place == nullptr ? nullptr : place->get();
    }

    Shared share(View id) const {
        const auto* const place = look(id);
        return place == nullptr ? nullptr : *place;
    }

    // visit(id, row), in no order.
    template <class Visit>
    void each(Visit visit) const {
        for (const auto& shard : shards_) {
            if (shard == nullptr) continue;
            for (const auto& [id, row] : *shard) visit(id, *row);
        }
    }

    void put(View id, Shared row) {
        const auto [place, is_new] = own(id).insert_or_assign(typename Ids::Id(id), std::move(row));
        size_ += is_new ? 1 : 0;
    }

    void erase(View id) {
        if (look(id) == nullptr) return;
        Shard& shard = own(id);
        shard.erase(shard.find(id));
        --size_;
    }

  private:
    static constexpr std::size_t kShards = 512;

    struct Hash {
        using is_transparent = void;

        std::size_t operator()(View id) const { return Ids::hash(id); }
    };

    using Shard = std::unordered_map<typename Ids::Id, Shared, Hash, std::equal_to<>>;

    static std::size_t shard_of(View id) { return Ids::tell(id) * 0x9E3779B97F4A7C15ULL >> 55; }

    const Shared* look(View id) const {
        const auto& shard = shards_[shard_of(id)];
        if (shard == nullptr) return nullptr;
        const auto place = shard->find(id);
        return place == shard->end() ? nullptr : &place->second;
    }

    // The id's shard, which no other table has.
    Shard& own(View id) {
        const std::size_t index = shard_of(id);
        auto& shard = shards_[index];
        if (!owned_[index]) {
            shard = shard == nullptr ? std::make_shared<Shard>() : std::make_shared<Shard>(*shard);
            owned_[index] = true;
        }
        return *shard;
    }

    static_assert(kShards == std::size_t{1} << (64 - 55));

    std::array<std::shared_ptr<Shard>, kShards> shards_;
    std::bitset<kShards> owned_;
    std::size_t size_ = 0;
};

}  // namespace turnpike::gateway
