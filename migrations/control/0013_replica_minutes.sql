-- What dedicated replicas cost: each minute in which a replica was READY, once, whatever happens to us
-- meanwhile. An endpoint that is stopped by us says why; one whose owner has no credit left says since
-- when.
CREATE TABLE replica_minutes (
    replica TEXT NOT NULL,
    minute INTEGER NOT NULL, -- since 1970
    endpoint TEXT NOT NULL,
    name TEXT NOT NULL, -- of the endpoint
    org TEXT NOT NULL REFERENCES organisations (id),
    price_version INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL CHECK (cost_nano_usd >= 0),
    PRIMARY KEY (replica, minute)
) STRICT, WITHOUT ROWID;

CREATE INDEX replica_minutes_by_org ON replica_minutes (org, minute);

CREATE TRIGGER replica_minutes_are_immutable BEFORE UPDATE ON replica_minutes
BEGIN
    SELECT RAISE(ABORT, 'a replica minute is immutable');
END;

CREATE TRIGGER replica_minutes_are_kept BEFORE DELETE ON replica_minutes
BEGIN
    SELECT RAISE(ABORT, 'a replica minute is kept');
END;

ALTER TABLE endpoints ADD COLUMN stop_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE endpoints ADD COLUMN unpaid_since_us INTEGER;
