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

// Const functions are thread-safe. A row lives as long as a table that has it.
template <class Row>
class ShardedTable {
  public:
    using Shared = std::shared_ptr<const Row>;

    ShardedTable() = default;

    // The shards are shared until one of the two is changed.
    ShardedTable(const ShardedTable& other) : shards_(other.shards_), size_(other.size_) {}

    ShardedTable& operator=(const ShardedTable&) = delete;

    std::size_t size() const { return size_; }

    // Null when there is none.
    const Row* find(std::string_view id) const {
        const auto* const place = look(id);
        return place == nullptr ? nullptr : place->get();
    }

    Shared share(std::string_view id) const {
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

    void put(std::string_view id, Shared row) {
        const auto [place, is_new] = own(id).insert_or_assign(std::string(id), std::move(row));
        size_ += is_new ? 1 : 0;
    }

    void erase(std::string_view id) {
        if (look(id) == nullptr) return;
        Shard& shard = own(id);
        shard.erase(shard.find(id));
        --size_;
    }

  private:
    static constexpr std::size_t kShards = 512;

    struct Hash {
        using is_transparent = void;

        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>()(text);
        }
    };

    using Shard = std::unordered_map<std::string, Shared, Hash, std::equal_to<>>;

    // By the end of the id, where ids and MACs differ.
    static std::size_t shard_of(std::string_view id) {
        std::uint64_t end = id.size();
        const std::size_t count = std::min<std::size_t>(id.size(), sizeof end);
        std::memcpy(&end, id.data() + id.size() - count, count);
        return end * 0x9E3779B97F4A7C15ULL >> 55;
    }

    const Shared* look(std::string_view id) const {
        const auto& shard = shards_[shard_of(id)];
        if (shard == nullptr) return nullptr;
        const auto place = shard->find(id);
        return place == shard->end() ? nullptr : &place->second;
    }

    // The id's shard, which no other table has.
    Shard& own(std::string_view id) {
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
