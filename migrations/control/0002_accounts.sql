-- Who may call: organisations and their keys. A key itself is never stored, only its HMAC.
CREATE TABLE organisations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    cache_salt TEXT NOT NULL,
    created_at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    org TEXT NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    redacted TEXT NOT NULL,
    mac_hex TEXT NOT NULL UNIQUE,
    pepper_version INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    revoked_at_us INTEGER
) STRICT;

CREATE INDEX api_keys_by_org ON api_keys (org);
