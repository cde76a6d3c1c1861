-- Limits are told to gateways like keys and names, and what gateways may spend before they ask
-- again is kept here. A grant is a row before it is answered. What a gateway holds counts against
-- the balance until it says that the usage was acknowledged, or gives it back; `epoch` is the
-- gateway's run, so that what an earlier run held can be told apart.
CREATE TABLE published_next (
    kind TEXT NOT NULL CHECK (kind IN ('organisations', 'keys', 'models', 'endpoints', 'limits')),
    id TEXT NOT NULL,
    revision INTEGER NOT NULL UNIQUE,
    body TEXT, -- JSON; NULL: deleted
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

INSERT INTO published_next (kind, id, revision, body)
SELECT kind, id, revision, body FROM published;

DROP TABLE published;

ALTER TABLE published_next RENAME TO published;

CREATE TABLE limits (
    subject TEXT PRIMARY KEY, -- 'organisation:<id>', 'key:<id>', 'model:<name>'
    requests_per_minute INTEGER CHECK (requests_per_minute > 0),
    tokens_per_minute INTEGER CHECK (tokens_per_minute > 0),
    concurrent_requests INTEGER CHECK (concurrent_requests > 0),
    monthly_nano_usd INTEGER CHECK (monthly_nano_usd >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE gateways (
    id TEXT PRIMARY KEY, -- of its outbox
    epoch INTEGER NOT NULL,
    seen_at_us INTEGER NOT NULL,
    wants_share INTEGER NOT NULL CHECK (wants_share IN (0, 1)), -- 0: it has left
    share_ppm INTEGER NOT NULL CHECK (share_ppm BETWEEN 0 AND 1000000)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    subject TEXT NOT NULL,
    gateway TEXT NOT NULL REFERENCES gateways (id),
    epoch INTEGER NOT NULL,
    granted_nano_usd INTEGER NOT NULL CHECK (granted_nano_usd >= 0),
    settled_nano_usd INTEGER NOT NULL CHECK (settled_nano_usd >= 0),
    returned_nano_usd INTEGER NOT NULL CHECK (returned_nano_usd >= 0),
    PRIMARY KEY (subject, gateway, epoch)
) STRICT, WITHOUT ROWID;

-- What keys' leases settled, by calendar month in UTC, for their monthly allowances.
CREATE TABLE settled_months (
    subject TEXT NOT NULL,
    month TEXT NOT NULL, -- '2026-11'
    settled_nano_usd INTEGER NOT NULL CHECK (settled_nano_usd >= 0),
    PRIMARY KEY (subject, month)
) STRICT, WITHOUT ROWID;
