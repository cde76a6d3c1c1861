// API keys in control.db.
#include "controlplane/store/keys.h"

#include "config/crypto/digest.h"
#include "config/crypto/identifiers.h"
#include "controlplane/store/audit.h"
#include "controlplane/store/publish.h"
#include "controlplane/store/store.h"

namespace turnpike::controlplane {
namespace {

constexpr std::size_t kMaxNameBytes = 128;

#define TURNPIKE_KEY_COLUMNS \
    "SELECT id, org, name, redacted, created_at_us, revoked_at_us FROM api_keys "

ApiKey read_key(const Statement& row) {
    return {KeyId(row.text(0)), OrgId(row.text(1)), row.text(2),
            row.text(3),        row.time(4),        row.optional_time(5)};
}

Status insert_key(Database& database, const ApiKey& key, const KeyRow& row) {
    return database
        .prepare(
            "INSERT INTO api_keys (id, org, name, redacted, mac_hex, pepper_version, "
            "created_at_us) VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(key.id.value())
        .bind(key.org.value())
        .bind(key.name)
        .bind(key.redacted)
        .bind(row.mac_hex)
        .bind(std::int64_t{row.pepper_version})
        .bind(key.created_at)
        .run();
}

Status check_organisation(Database& database, const OrgId& org) {
    Statement row = database.prepare("SELECT 1 FROM organisations WHERE id = ?");
    const bool exists = row.bind(org.value()).step();
    RETURN_IF_ERROR(row.status());
    if (!exists) return Error{ErrorCode::kNotFound, "no organisation '" + org.value() + "'", "org"};
    return {};
}

Result<ApiKey> find_key(Database& database, const KeyId& id) {
    Statement row = database.prepare(TURNPIKE_KEY_COLUMNS "WHERE id = ?");
    const bool exists = row.bind(id.value()).step();
    RETURN_IF_ERROR(row.status());
    if (!exists) return Error{ErrorCode::kNotFound, "no key '" + id.value() + "'", {}};
    return read_key(row);
}

Status mark_revoked(Database& database, const KeyId& id, WallTime now) {
    return database.prepare("UPDATE api_keys SET revoked_at_us = ? WHERE id = ?")
        .bind(now)
        .bind(id.value())
        .run();
}

}  // namespace

Result<NewApiKey> create_key(Store& store,
                             const crypto::Peppers& peppers,
                             const OrgId& org,
                             const std::string& name,
                             WallTime now) {
    if (name.size() > kMaxNameBytes) {
        return invalid_argument("expected a name of at most 128 bytes", "name");
    }
    Secret secret = crypto::new_api_key();
    KeyRow row;
    row.id = KeyId(crypto::new_id("key_"));
    row.org = org;
    row.pepper_version = peppers.current();
    crypto::HmacSha256 hmac(peppers.by_version.at(row.pepper_version));
    row.mac_hex = crypto::to_hex(hmac.compute(secret.reveal()));
    row.redacted = crypto::redact_api_key(secret.reveal());
    const ApiKey key{row.id, org, name, row.redacted, now, std::nullopt};
    RETURN_IF_ERROR(store.write([&](Database& database) -> Status {
        RETURN_IF_ERROR(check_organisation(database, org));
        RETURN_IF_ERROR(insert_key(database, key, row));
        RETURN_IF_ERROR(
            write_audit(database, "operator", "key.create", key.id.value(), org.value(), now));
        return publish(database, kKeyKind, key.id.value(), write_row(row));
    }));
    return NewApiKey{key, std::move(secret)};
}

Result<std::vector<ApiKey>> list_keys(const Store& store, const std::optional<OrgId>& org) {
    std::vector<ApiKey> keys;
    RETURN_IF_ERROR(store.read([&](Database& database) -> Status {
        Statement rows = database.prepare(TURNPIKE_KEY_COLUMNS
                                          "WHERE ?1 = '' OR org = ?1 ORDER BY created_at_us DESC, "
                                          "id");
        rows.bind(org ? org->value() : std::string());
        while (rows.step()) keys.push_back(read_key(rows));
        return rows.status();
    }));
    return keys;
}

Result<ApiKey> revoke_key(Store& store, const KeyId& id, WallTime now) {
    ApiKey revoked;
    RETURN_IF_ERROR(store.write([&](Database& database) -> Status {
        auto key = find_key(database, id);
        RETURN_IF_ERROR(key);
        revoked = std::move(*key);
        if (revoked.revoked_at) return {};
        revoked.revoked_at = now;
        RETURN_IF_ERROR(mark_revoked(database, id, now));
        RETURN_IF_ERROR(
            write_audit(database, "operator", "key.revoke", id.value(), revoked.org.value(), now));
        return publish(database, kKeyKind, id.value(), std::nullopt);
    }));
    return revoked;
}

}  // namespace turnpike::controlplane
