// Organisations in control.db.
#include "controlplane/store/organisations.h"

#include "config/crypto/digest.h"
#include "config/crypto/identifiers.h"
#include "controlplane/store/audit.h"
#include "controlplane/store/publish.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

constexpr std::size_t kMaxNameBytes = 64;

#define TURNPIKE_ORGANISATION_COLUMNS                                                     \
    "SELECT o.id, o.name, o.created_at_us, a.balance_nano_usd FROM organisations o JOIN " \
    "accounts a ON a.kind = 'prepaid' AND a.org = o.id "

Organisation read_row(const Statement& row) {
    return {OrgId(row.text(0)), row.text(1), row.time(2), row.money(3)};
}

std::string new_cache_salt() {
    std::array<std::uint8_t, 16> bytes{};
    crypto::fill_random(bytes);
    return crypto::to_hex(bytes);
}

// A name is also the first part of its endpoints' names.
Status check_name(const std::string& name) {
    const bool is_plain = name.find_first_not_of(
                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX"
                              "YZ0123456789-_.") == std::string::npos;
    if (name.empty() || name.size() > kMaxNameBytes || !is_plain || name.starts_with("org_")) {
        return invalid_argument(
            "expected a name of 1 to 64 letters, digits, '-', '_' and '.' that "
            "does not begin with 'org_'",
            "name");
    }
    return {};
}

Status insert_organisation(Database& database, const Organisation& org, const std::string& salt) {
    return database
        .prepare(
            "INSERT INTO organisations (id, name, cache_salt, created_at_us) VALUES (?, ?, ?, "
            "?)")
        .bind(org.id.value())
        .bind(org.name)
        .bind(salt)
        .bind(org.created_at)
        .run();
}

Status insert_prepaid_account(Database& database, const OrgId& org) {
    return database
        .prepare("INSERT INTO accounts (kind, org, balance_nano_usd) VALUES ('prepaid', ?, 0)")
        .bind(org.value())
        .run();
}

Result<bool> is_name_taken(Database& database, const std::string& name) {
    Statement row = database.prepare("SELECT 1 FROM organisations WHERE name = ?");
    const bool is_taken = row.bind(name).step();
    RETURN_IF_ERROR(row.status());
    return is_taken;
}

}  // namespace

Result<Organisation> create_organisation(Store& store, const std::string& name, WallTime now) {
    RETURN_IF_ERROR(check_name(name));
    const Organisation org{OrgId(crypto::new_id("org_")), name, now, NanoUsd()};
    RETURN_IF_ERROR(store.write([&](Database& database) -> Status {
        const auto is_taken = is_name_taken(database, name);
        RETURN_IF_ERROR(is_taken);
        if (*is_taken) {
            return Error{ErrorCode::kConflict, "an organisation named '" + name + "' exists",
                         "name"};
        }
        const std::string salt = new_cache_salt();
        RETURN_IF_ERROR(insert_organisation(database, org, salt));
        RETURN_IF_ERROR(insert_prepaid_account(database, org.id));
        RETURN_IF_ERROR(
            write_audit(database, "operator", "organisation.create", org.id.value(), name, now));
        return publish(database, kOrganisationKind, org.id.value(),
                       write_row(OrganisationRow{org.id, name, salt}));
    }));
    return org;
}

Result<Organisation> find_organisation(const Store& store, const std::string& id_or_name) {
    std::optional<Organisation> found;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        Statement row =
            database.prepare(TURNPIKE_ORGANISATION_COLUMNS "WHERE o.id = ?1 OR o.name = ?1");
        if (row.bind(id_or_name).step()) found = read_row(row);
        return row.status();
    }));
    if (!found) {
        return Error{ErrorCode::kNotFound, "no organisation '" + id_or_name + "'", "org"};
    }
    return *found;
}

Result<std::vector<Organisation>> list_organisations(const Store& store) {
    std::vector<Organisation> found;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        Statement rows = database.prepare(TURNPIKE_ORGANISATION_COLUMNS "ORDER BY o.name");
        while (rows.step()) found.push_back(read_row(rows));
        return rows.status();
    }));
    return found;
}

}  // namespace turnpike::controlplane
