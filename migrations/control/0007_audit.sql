-- Who changed what and when. No secrets, no prompts.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL, -- 'endpoint.create', 'key.revoke', ...
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
