UPDATE endpoints SET stop_reason = 'the credit of its organisation is gone', unpaid_since_us = 1700000000000037
    WHERE id = 'endpoint-gone';

INSERT INTO replica_minutes (replica, minute, endpoint, name, org, price_version, cost_nano_usd) VALUES
    ('gone-0', 28333333, 'endpoint-gone', 'acme/r1-gone', 'org_acme', 3, 20000000),
    ('0a1b2c3d4e5f-1-12', 28333334, 'endpoint-gone', 'acme/r1-gone', 'org_acme', 3, 0);

UPDATE accounts SET balance_nano_usd = balance_nano_usd + 20000000 WHERE id = 2;

UPDATE accounts SET balance_nano_usd = balance_nano_usd - 20000000 WHERE id = 4;

INSERT INTO transactions (id, ref, note, posted_at_us) VALUES (4, 'minutes:gone-0:28333333', '', 1700000000000038);

INSERT INTO entries (transaction_id, account_id, amount_nano_usd) VALUES (4, 2, 20000000), (4, 4, -20000000);
