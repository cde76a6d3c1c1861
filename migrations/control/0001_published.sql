-- Which database this is, and what gateways are told. Rows are published in the transaction of the
-- change that caused them, so a gateway can never be told less or more than what was committed.
CREATE TABLE identity (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    store_id TEXT NOT NULL,
    revision INTEGER NOT NULL CHECK (revision >= 0)
) STRICT;

CREATE TABLE published (
    kind TEXT NOT NULL CHECK (kind IN ('organisations', 'keys', 'models', 'endpoints')),
    id TEXT NOT NULL,
    revision INTEGER NOT NULL UNIQUE,
    body TEXT, -- JSON; NULL: deleted
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
