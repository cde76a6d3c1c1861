-- What should run, what runs, and how it came about. Forgotten replicas keep their row, because
-- their epoch must never repeat. Steps are written before they are done, so that a crash between
-- two of them can be told from one that never began.
CREATE TABLE endpoints (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    model TEXT NOT NULL,
    hardware TEXT NOT NULL,
    type TEXT NOT NULL,
    owner TEXT NOT NULL REFERENCES organisations (id),
    desired TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    min_replicas INTEGER NOT NULL,
    max_replicas INTEGER NOT NULL,
    inactive_timeout_minutes INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    deleted_at_us INTEGER,
    idempotency_key TEXT
) STRICT;

CREATE UNIQUE INDEX endpoints_by_idempotency ON endpoints (owner, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

CREATE TABLE replicas (
    id TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL REFERENCES endpoints (id),
    replica_index INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    epoch INTEGER NOT NULL CHECK (epoch > 0),
    state TEXT NOT NULL,
    address TEXT NOT NULL,
    reason TEXT NOT NULL,
    num_failures INTEGER NOT NULL,
    state_since_us INTEGER NOT NULL,
    forgotten_at_us INTEGER
) STRICT;

CREATE INDEX replicas_by_endpoint ON replicas (endpoint);

CREATE TABLE operations (
    id INTEGER PRIMARY KEY,
    endpoint TEXT NOT NULL REFERENCES endpoints (id),
    kind TEXT NOT NULL,
    generation INTEGER NOT NULL,
    actor TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    finished_at_us INTEGER
) STRICT;

CREATE INDEX operations_by_endpoint ON operations (endpoint);

CREATE TABLE operation_steps (
    id INTEGER PRIMARY KEY,
    endpoint TEXT NOT NULL,
    replica TEXT NOT NULL,
    action TEXT NOT NULL,
    started_at_us INTEGER NOT NULL,
    finished_at_us INTEGER,
    outcome TEXT NOT NULL
) STRICT;

CREATE INDEX open_steps ON operation_steps (id) WHERE finished_at_us IS NULL;
