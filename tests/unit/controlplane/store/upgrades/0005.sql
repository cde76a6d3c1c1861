-- Accounts 1 and 2 are external and revenue, of the migration.
INSERT INTO accounts (id, kind, org, balance_nano_usd) VALUES (3, 'prepaid', 'org_turnpike', 0), (4, 'prepaid', 'org_acme', 19999990000);

UPDATE accounts SET balance_nano_usd = -20000000000 WHERE id = 1;

UPDATE accounts SET balance_nano_usd = 10000 WHERE id = 2;

INSERT INTO transactions (id, ref, note, posted_at_us) VALUES
    (1, 'credit:org_acme:first', 'bank transfer: 20 €', 1700000000000022),
    (2, 'usage:01HF7YAT00TBE3XPQWS6TVEWFH', '', 1700000000000023);

INSERT INTO entries (transaction_id, account_id, amount_nano_usd) VALUES
    (1, 1, -20000000000), (1, 4, 20000000000), (2, 2, 10000), (2, 4, -10000);
