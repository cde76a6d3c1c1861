-- Speculative decoding can be switched off for one endpoint: its replicas then start without drafts,
-- whatever the settings say of the model.
ALTER TABLE endpoints ADD COLUMN disable_speculative_decoding INTEGER NOT NULL DEFAULT 0
    CHECK (disable_speculative_decoding IN (0, 1));
