INSERT INTO published (kind, id, revision, body) VALUES
    ('limits', 'organisation:org_acme', 4, '{"subject":"organisation:org_acme","requests_per_minute":60}');

UPDATE identity SET revision = 4;

INSERT INTO limits (subject, requests_per_minute, tokens_per_minute, concurrent_requests, monthly_nano_usd) VALUES
    ('organisation:org_acme', 60, NULL, 8, 0), ('key:key_ci', NULL, 100000, NULL, 5000000000);

INSERT INTO gateways (id, epoch, seen_at_us, wants_share, share_ppm) VALUES ('01HF7YAT00', 4, 1700000000000033, 1, 1000000);

INSERT INTO leases (subject, gateway, epoch, granted_nano_usd, settled_nano_usd, returned_nano_usd) VALUES
    ('organisation:org_acme', '01HF7YAT00', 4, 1000000000, 10000, 0);

INSERT INTO settled_months (subject, month, settled_nano_usd) VALUES ('key:key_ci', '2023-11', 10000);
