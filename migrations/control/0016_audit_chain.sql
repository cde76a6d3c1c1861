-- An audit that cannot be changed unseen: each row is a link of a hash chain (audit.h), made like the
-- ledger's: what is older than this migration is linked at the first start after it, together with
-- link 0. Rows are cut by age only behind an anchor, which keeps the hash of the last one cut. Both
-- chains begin with the id of the store that they were begun in; a restored store has another id.
-- What retention deletes of usage leaves its sums here, so that the books still add up.
ALTER TABLE identity ADD COLUMN founded_as TEXT NOT NULL DEFAULT '';

UPDATE identity SET founded_as = store_id;

CREATE TABLE audit_chain (
    audit_id INTEGER PRIMARY KEY CHECK (audit_id >= 0), -- 0: where the chain begins
    hash TEXT NOT NULL CHECK (length(hash) = 64)
) STRICT;

CREATE TABLE audit_anchors (
    last_id INTEGER PRIMARY KEY CHECK (last_id > 0), -- of the rows that were cut
    hash TEXT NOT NULL, -- its link
    num_cut INTEGER NOT NULL CHECK (num_cut > 0),
    cut_at_us INTEGER NOT NULL,
    signed_off_by TEXT NOT NULL
) STRICT;

CREATE INDEX audit_by_time ON audit (at_us);

CREATE TRIGGER audit_is_immutable BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'a row of the audit is immutable');
END;

CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
WHEN OLD.id > (SELECT ifnull(max(last_id), 0) FROM audit_anchors)
BEGIN
    SELECT RAISE(ABORT, 'a row of the audit is kept until an anchor stands for it');
END;

CREATE TRIGGER audit_chain_is_immutable BEFORE UPDATE ON audit_chain
BEGIN
    SELECT RAISE(ABORT, 'a link of the audit chain is immutable');
END;

CREATE TRIGGER audit_chain_is_kept BEFORE DELETE ON audit_chain
WHEN OLD.audit_id = 0 OR OLD.audit_id > (SELECT ifnull(max(last_id), 0) FROM audit_anchors)
BEGIN
    SELECT RAISE(ABORT, 'a link of the audit chain is kept until an anchor stands for it');
END;

CREATE TRIGGER audit_anchors_fit BEFORE INSERT ON audit_anchors
WHEN NOT EXISTS (SELECT 1 FROM audit_chain WHERE audit_id = NEW.last_id AND hash = NEW.hash)
BEGIN
    SELECT RAISE(ABORT, 'an anchor of the audit has the hash of a link');
END;

CREATE TRIGGER audit_anchors_are_immutable BEFORE UPDATE ON audit_anchors
BEGIN
    SELECT RAISE(ABORT, 'an anchor of the audit is immutable');
END;

CREATE TRIGGER audit_anchors_are_kept BEFORE DELETE ON audit_anchors
BEGIN
    SELECT RAISE(ABORT, 'an anchor of the audit is kept');
END;

CREATE TABLE retired_months (
    month TEXT PRIMARY KEY, -- '2026-11': its usage file is deleted, or about to be
    last_sequence INTEGER NOT NULL, -- all of it was posted
    retired_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE retired_usage (
    month TEXT NOT NULL REFERENCES retired_months (month),
    org TEXT NOT NULL,
    replica TEXT NOT NULL,
    is_billed INTEGER NOT NULL CHECK (is_billed IN (0, 1)),
    num_events INTEGER NOT NULL,
    num_with_cost INTEGER NOT NULL, -- each has a transaction in the ledger
    prompt_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    written_off_nano_usd INTEGER NOT NULL,
    PRIMARY KEY (month, org, replica, is_billed)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER retired_months_are_immutable BEFORE UPDATE ON retired_months
BEGIN
    SELECT RAISE(ABORT, 'a retired month is immutable');
END;

CREATE TRIGGER retired_months_are_kept BEFORE DELETE ON retired_months
BEGIN
    SELECT RAISE(ABORT, 'a retired month is kept');
END;

CREATE TRIGGER retired_usage_is_immutable BEFORE UPDATE ON retired_usage
BEGIN
    SELECT RAISE(ABORT, 'sums of a retired month are immutable');
END;

CREATE TRIGGER retired_usage_is_kept BEFORE DELETE ON retired_usage
BEGIN
    SELECT RAISE(ABORT, 'sums of a retired month are kept');
END;
