-- A rolling update: the endpoint's rollout grows when what its replicas run changes, and replicas keep
-- the rollout that they were started for as their generation. What the settings said of a model when it
-- was last looked at tells whether they say something else now.
ALTER TABLE endpoints ADD COLUMN rollout INTEGER NOT NULL DEFAULT 1 CHECK (rollout > 0);

CREATE TABLE model_runs (
    model TEXT PRIMARY KEY,
    digest TEXT NOT NULL, -- of the card, the checkpoint's directory and the engine's settings
    changed_at_us INTEGER NOT NULL
) STRICT;
