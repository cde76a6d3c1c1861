-- A minute is paid once for each place of an endpoint, whichever replica held it: the old and the new
-- one of a rolling update may both be READY in it. A replica's name ends with its place.
ALTER TABLE replica_minutes ADD COLUMN replica_index INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER replica_minutes_are_immutable;

UPDATE replica_minutes SET replica_index = CAST(
    substr(replica, instr(replica, '-') + 1 + instr(substr(replica, instr(replica, '-') + 1), '-')) AS INTEGER);

CREATE TRIGGER replica_minutes_are_immutable BEFORE UPDATE ON replica_minutes
BEGIN
    SELECT RAISE(ABORT, 'a replica minute is immutable');
END;

CREATE UNIQUE INDEX replica_minutes_by_place ON replica_minutes (endpoint, replica_index, minute);
