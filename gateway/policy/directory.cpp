#include "gateway/policy/directory.h"

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

template <class Table>
const typename Table::mapped_type* find_in(const Table& table, std::string_view id) {
    const auto row = table.find(id);
    return row == table.end() ? nullptr : &row->second;
}

template <class Row, class Table>
std::vector<Change<Row>> rows_of(const Table& table) {
    std::vector<Change<Row>> rows;
    rows.reserve(table.size());
    for (const auto& [id, row] : table) rows.push_back(Change<Row>{id, row});
    return rows;
}

bool may_use(const ModelRow& row, const OrgId& org) {
    return !row.owner || *row.owner == org;
}

}  // namespace

Directory::Directory()
    : organisations_(std::make_shared<Table<OrganisationRow>>()),
      keys_(std::make_shared<Table<KeyRow>>()),
      models_(std::make_shared<Table<ModelRow>>()),
      endpoints_(std::make_shared<Table<EndpointRow>>()),
      limits_(std::make_shared<Table<LimitsRow>>()),
      by_mac_(std::make_shared<MacIndex>()) {}

template <class Row>
void Directory::change(Shared<Row>& table, const std::vector<Change<Row>>& changes, bool is_full) {
    if (changes.empty() && !is_full) return;
    auto next = is_full ? std::make_shared<Table<Row>>() : std::make_shared<Table<Row>>(*table);
    for (const Change<Row>& entry : changes) {
        if (entry.row) {
            next->insert_or_assign(entry.id, *entry.row);
        } else {
            next->erase(entry.id);
        }
    }
    table = std::move(next);
}

void Directory::index_macs() {
    auto index = std::make_shared<MacIndex>();
    index->reserve(keys_->size());
    for (const auto& [id, row] : *keys_) index->emplace(row.mac_hex, &row);
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
    if (next.keys_ != keys_) next.index_macs();
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

const KeyRow* Directory::find_key(std::string_view mac_hex) const {
    const auto row = by_mac_->find(std::string(mac_hex));
    return row == by_mac_->end() ? nullptr : row->second;
}

const OrganisationRow* Directory::find_organisation(const OrgId& id) const {
    return find_in(*organisations_, id.value());
}

const ModelRow* Directory::find_model(std::string_view name, const OrgId& org) const {
    const ModelRow* row = find_in(*models_, name);
    return row != nullptr && may_use(*row, org) ? row : nullptr;
}

std::vector<const ModelRow*> Directory::models_of(const OrgId& org) const {
    std::vector<const ModelRow*> rows;
    for (const auto& [name, row] : *models_) {
        if (may_use(row, org)) rows.push_back(&row);
    }
    return rows;
}

const EndpointRow* Directory::find_endpoint(const EndpointId& id) const {
    return find_in(*endpoints_, id.value());
}

const controlplane::Limits* Directory::find_limits(std::string_view subject) const {
    const LimitsRow* row = find_in(*limits_, subject);
    return row == nullptr ? nullptr : &row->limits;
}

bool Directory::has_route() const {
    for (const auto& [name, row] : *models_) {
        const EndpointRow* endpoint = find_endpoint(row.endpoint);
        if (endpoint != nullptr && !endpoint->replicas.empty()) return true;
    }
    return false;
}

}  // namespace turnpike::gateway
