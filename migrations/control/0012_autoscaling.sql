-- How many replicas the autoscaler wants, between the bounds, and when a request was last in hand: kept,
-- so that a control plane that starts again neither drops replicas nor counts idle time anew.
ALTER TABLE endpoints ADD COLUMN target_replicas INTEGER NOT NULL DEFAULT 0 CHECK (target_replicas >= 0);
ALTER TABLE endpoints ADD COLUMN last_active_at_us INTEGER NOT NULL DEFAULT 0;
UPDATE endpoints SET target_replicas = min_replicas;
