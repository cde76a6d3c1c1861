INSERT INTO replica_minutes (replica, minute, endpoint, name, org, price_version, cost_nano_usd, replica_index) VALUES
    ('0a1b2c3d4e5f-2-3', 28333334, 'endpoint-gone', 'acme/r1-gone', 'org_acme', 3, 0, 3);
