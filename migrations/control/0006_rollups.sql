-- How far each month's usage file is posted, and sums per day for bills and charts. The watermark
-- moves in the transaction of the entries, so no event is posted twice or forgotten.
CREATE TABLE posted (
    month TEXT PRIMARY KEY, -- '2026-11'
    sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rollups (
    org TEXT NOT NULL,
    day TEXT NOT NULL, -- '2026-11-23', UTC
    model TEXT NOT NULL,
    is_billed INTEGER NOT NULL CHECK (is_billed IN (0, 1)),
    num_requests INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    PRIMARY KEY (org, day, model, is_billed)
) STRICT, WITHOUT ROWID;
