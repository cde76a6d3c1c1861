INSERT INTO organisations (id, name, cache_salt, created_at_us) VALUES
    ('org_turnpike', 'turnpike', '0a', 1700000000000000),
    ('org_acme', 'acme', '5a17', 1700000000000001);

INSERT INTO api_keys (id, org, name, redacted, mac_hex, pepper_version, created_at_us, revoked_at_us) VALUES
    ('key_ci', 'org_acme', 'ci', 'tp_live_abcd…wxyz', 'c1', 1, 1700000000000002, NULL),
    ('key_old', 'org_acme', 'naïve', 'tp_live_0000…0000', 'c2', 1, 1700000000000003, 1700000000000004);
