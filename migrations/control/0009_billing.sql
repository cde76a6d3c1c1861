-- What bills need beside the ledger: the day from which a price version holds, and a place for
-- usage records that cannot be priced, so that they neither get lost nor hold up the others.
ALTER TABLE prices ADD COLUMN from_at_us INTEGER; -- NULL: from created_at_us on

ALTER TABLE prices ADD COLUMN source TEXT NOT NULL DEFAULT 'settings'
    CHECK (source IN ('settings', 'operator'));

CREATE TABLE quarantine (
    request_id TEXT PRIMARY KEY,
    org TEXT NOT NULL,
    outbox TEXT NOT NULL,
    reason TEXT NOT NULL,
    record TEXT NOT NULL, -- JSON, as it was delivered
    received_at_us INTEGER NOT NULL,
    released_at_us INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX quarantine_now ON quarantine (received_at_us) WHERE released_at_us IS NULL;

CREATE TRIGGER quarantine_is_kept BEFORE DELETE ON quarantine
BEGIN
    SELECT RAISE(ABORT, 'a record in quarantine is kept');
END;
