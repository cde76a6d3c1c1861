#include "gateway/policy/directory.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace turnpike::gateway {

using controlplane::Change;
using controlplane::EndpointRow;
using controlplane::KeyRow;
using controlplane::LimitsRow;
using controlplane::ModelRow;
using controlplane::OrganisationRow;
using controlplane::Snapshot;

namespace {

// By id.
template <class Row>
std::vector<Change<Row>> rows_of(const ShardedTable<Row>& table) {
    std::vector<Change<Row>> rows;
    rows.reserve(table.size());
    table.each([&](const std::string& id, const Row& row) { rows.push_back({id, row}); });
    std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    return rows;
}

// Of 64 lower-case hexadecimal digits.
std::optional<Mac> parse_mac(std::string_view hex) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    Mac mac{};
    if (hex.size() != 2 * mac.size()) return std::nullopt;
    for (std::size_t i = 0; i < mac.size(); ++i) {
        const std::size_t high = kDigits.find(hex[2 * i]);
        const std::size_t low = kDigits.find(hex[2 * i + 1]);
        if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
        mac[i] = static_cast<std::uint8_t>(high << 4U | low);
    }
    return mac;
}

bool may_use(const ModelRow& row, const OrgId& org) {
    return !row.owner || *row.owner == org;
}

}  // namespace

Directory::Directory()
    : organisations_(std::make_shared<ShardedTable<OrganisationRow>>()),
      keys_(std::make_shared<ShardedTable<KeyRow>>()),
      models_(std::make_shared<ShardedTable<ModelRow>>()),
      endpoints_(std::make_shared<ShardedTable<EndpointRow>>()),
      limits_(std::make_shared<ShardedTable<LimitsRow>>()),
      by_mac_(std::make_shared<ShardedTable<KeyRow, MacIds>>()) {}

template <class Row>
void Directory::change(Shared<Row>& table, const std::vector<Change<Row>>& changes, bool is_full) {
    if (changes.empty() && !is_full) return;
    auto next = is_full ? std::make_shared<ShardedTable<Row>>()
                        : std::make_shared<ShardedTable<Row>>(*table);
    for (const Change<Row>& entry : changes) {
        if (entry.row) {
            next->put(entry.id, std::make_shared<const Row>(*entry.row));
        } else {
            next->erase(entry.id);
        }
    }
    table = std::move(next);
}

void Directory::index_macs(const ShardedTable<KeyRow>& before,
                           const std::vector<Change<KeyRow>>& changes,
                           bool is_full) {
    using Index = ShardedTable<KeyRow, MacIds>;
    auto index = is_full ? std::make_shared<Index>() : std::make_shared<Index>(*by_mac_);
    for (const Change<KeyRow>& entry : changes) {
        const KeyRow* const old = is_full ? nullptr : before.find(entry.id);
        const auto mac = old == nullptr ? std::nullopt : parse_mac(old->mac_hex);
        if (mac) index->erase(*mac);
    }
    for (const Change<KeyRow>& entry : changes) {
        const auto row = keys_->share(entry.id);
        const auto mac = row == nullptr ? std::nullopt : parse_mac(row->mac_hex);
        if (mac) index->put(*mac, row);
    }
    by_mac_ = std::move(index);
}

Result<Directory> Directory::apply(const Snapshot& delta) const {
    if (!delta.is_full && delta.store_id != store_id_) {
        return Error{ErrorCode::kConflict,
                     "expected a delta of store '" + store_id_ +
                         "' or a full snapshot, found a delta of '" + delta.store_id + "'",
                     {}};
    }
    Directory next = *this;
    next.store_id_ = delta.store_id;
    next.revision_ = delta.revision;
    change(next.organisations_, delta.organisations, delta.is_full);
    change(next.keys_, delta.keys, delta.is_full);
    change(next.models_, delta.models, delta.is_full);
    change(next.endpoints_, delta.endpoints, delta.is_full);
    change(next.limits_, delta.limits, delta.is_full);
    if (next.keys_ != keys_) next.index_macs(*keys_, delta.keys, delta.is_full);
    return next;
}

Snapshot Directory::to_snapshot() const {
    Snapshot snapshot;
    snapshot.store_id = store_id_;
    snapshot.revision = revision_;
    snapshot.is_full = true;
    snapshot.organisations = rows_of<OrganisationRow>(*organisations_);
    snapshot.keys = rows_of<KeyRow>(*keys_);
    snapshot.models = rows_of<ModelRow>(*models_);
    snapshot.endpoints = rows_of<EndpointRow>(*endpoints_);
    snapshot.limits = rows_of<LimitsRow>(*limits_);
    return snapshot;
}

const KeyRow* Directory::find_key(const Mac& mac) const {
    return by_mac_->find(mac);
}

const OrganisationRow* Directory::find_organisation(const OrgId& id) const {
    return organisations_->find(id.value());
}

const ModelRow* Directory::find_model(std::string_view name, const OrgId& org) const {
    const ModelRow* row = models_->find(name);
    return row != nullptr && may_use(*row, org) ? row : nullptr;
}

std::vector<const ModelRow*> Directory::models_of(const OrgId& org) const {
    std::vector<const ModelRow*> rows;
    models_->each([&](const std::string&, const ModelRow& row) {
        if (may_use(row, org)) rows.push_back(&row);
    });
    std::sort(rows.begin(), rows.end(),
              [](const ModelRow* a, const ModelRow* b) { return a->name < b->name; });
    return rows;
}

const EndpointRow* Directory::find_endpoint(const EndpointId& id) const {
    return endpoints_->find(id.value());
}

const controlplane::Limits* Directory::find_limits(std::string_view subject) const {
    const LimitsRow* row = limits_->find(subject);
    return row == nullptr ? nullptr : &row->limits;
}

bool Directory::has_route() const {
    bool has_one = false;
    models_->each([&](const std::string&, const ModelRow& row) {
        const EndpointRow* endpoint = find_endpoint(row.endpoint);
        has_one = has_one || (endpoint != nullptr && !endpoint->replicas.empty());
    });
    return has_one;
}

}  // namespace turnpike::gateway
