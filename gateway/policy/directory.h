// Directory: what a gateway knows of organisations, keys, names and replicas, as one immutable
// value. A delta makes a new value that shares what it did not touch.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/ids.h"
#include "config/base/result.h"
#include "controlplane/api/snapshot.h"
#include "gateway/policy/sharded_table.h"

namespace turnpike::gateway {

// Const functions are thread-safe. Pointers live as long as the value they came from.
class Directory {
  public:
    Directory();

    // This state with `delta` applied, or the whole of `delta` when it is full. kConflict when a
    // partial delta comes from another store than this state: the caller then asks for a full one.
    Result<Directory> apply(const controlplane::Snapshot& delta) const;

    // The whole state as a full snapshot, for the file that a gateway starts from.
    controlplane::Snapshot to_snapshot() const;

    const std::string& store_id() const { return store_id_; }

    std::int64_t revision() const { return revision_; }

    // `mac`: HMAC of the presented key. Null: unknown or revoked.
    const controlplane::KeyRow* find_key(const Mac& mac) const;
    const controlplane::OrganisationRow* find_organisation(const OrgId& id) const;
    // Null for an unknown name and for one that belongs to somebody else: callers cannot tell.
    const controlplane::ModelRow* find_model(std::string_view name, const OrgId& org) const;
    // Every name that `org` may use, by name.
    std::vector<const controlplane::ModelRow*> models_of(const OrgId& org) const;
    const controlplane::EndpointRow* find_endpoint(const EndpointId& id) const;
    // Null where nothing was set. `subject`: from controlplane::limits_subject().
    const controlplane::Limits* find_limits(std::string_view subject) const;
    // Whether some name leads to a pool with a replica.
    bool has_route() const;

  private:
    template <class Row>
    using Shared = std::shared_ptr<const ShardedTable<Row>>;

    template <class Row>
    static void change(Shared<Row>& table,
                       const std::vector<controlplane::Change<Row>>& changes,
                       bool is_full);
    // After keys_ has changed; `before`: what it was.
    void index_macs(const ShardedTable<controlplane::KeyRow>& before,
                    const std::vector<controlplane::Change<controlplane::KeyRow>>& changes,
                    bool is_full);

    std::string store_id_;
    std::int64_t revision_ = 0;
    Shared<controlplane::OrganisationRow> organisations_;
    Shared<controlplane::KeyRow> keys_;
    Shared<controlplane::ModelRow> models_;
    Shared<controlplane::EndpointRow> endpoints_;
    Shared<controlplane::LimitsRow> limits_;
    // The same rows. One whose MAC is not 64 hexadecimal digits is found by nobody.
    std::shared_ptr<const ShardedTable<controlplane::KeyRow, MacIds>> by_mac_;
};

}  // namespace turnpike::gateway
