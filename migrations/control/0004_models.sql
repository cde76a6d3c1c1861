-- Names that clients may ask for, and what they cost. Price versions are never changed: each row of
-- usage names the version that it was admitted under.
CREATE TABLE model_names (
    name TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL REFERENCES endpoints (id),
    owner TEXT REFERENCES organisations (id),
    served_model TEXT NOT NULL,
    display_name TEXT NOT NULL,
    organization TEXT NOT NULL,
    context_length INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL
) STRICT;

CREATE INDEX model_names_by_endpoint ON model_names (endpoint);

CREATE TABLE prices (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    input_nano_usd INTEGER NOT NULL CHECK (input_nano_usd >= 0),
    cached_input_nano_usd INTEGER NOT NULL CHECK (cached_input_nano_usd >= 0),
    output_nano_usd INTEGER NOT NULL CHECK (output_nano_usd >= 0),
    per_minute_nano_usd INTEGER NOT NULL CHECK (per_minute_nano_usd >= 0),
    created_at_us INTEGER NOT NULL
) STRICT;

CREATE INDEX prices_by_name ON prices (name, version);

CREATE TRIGGER prices_are_immutable BEFORE UPDATE ON prices
BEGIN
    SELECT RAISE(ABORT, 'a price version is immutable');
END;

CREATE TRIGGER prices_are_kept BEFORE DELETE ON prices
BEGIN
    SELECT RAISE(ABORT, 'a price version is kept');
END;
