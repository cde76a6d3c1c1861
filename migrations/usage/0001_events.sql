-- One row per request, as the gateway delivered it, priced by the version that it names. Append
-- only: `sequence` is the order of arrival, which the ledger's poster follows.
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL UNIQUE,
    org TEXT NOT NULL,
    key TEXT NOT NULL,
    model TEXT NOT NULL,
    served_model TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    replica TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    price_version INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    is_billed INTEGER NOT NULL CHECK (is_billed IN (0, 1)),
    http_status INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL CHECK (prompt_tokens >= 0),
    cached_tokens INTEGER NOT NULL CHECK (cached_tokens BETWEEN 0 AND prompt_tokens),
    completion_tokens INTEGER NOT NULL CHECK (completion_tokens >= 0),
    reasoning_tokens INTEGER NOT NULL CHECK (reasoning_tokens BETWEEN 0 AND completion_tokens),
    provider_reported INTEGER NOT NULL CHECK (provider_reported IN (0, 1)),
    cost_nano_usd INTEGER NOT NULL CHECK (cost_nano_usd >= 0),
    written_off_nano_usd INTEGER NOT NULL CHECK (written_off_nano_usd >= 0),
    opened_at_us INTEGER NOT NULL,
    closed_at_us INTEGER NOT NULL,
    CHECK (is_billed = 0 OR written_off_nano_usd = 0),
    CHECK (is_billed = 1 OR cost_nano_usd = 0)
) STRICT;

CREATE INDEX events_by_org ON events (org, sequence);

CREATE TRIGGER events_are_immutable BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'a usage event is immutable');
END;

CREATE TRIGGER events_are_kept BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'a usage event is kept');
END;
