-- Goodwill, on the account that this version brought; the program links the transaction.
UPDATE accounts SET balance_nano_usd = -500 WHERE kind = 'adjustments';

UPDATE accounts SET balance_nano_usd = balance_nano_usd + 500 WHERE id = 4;

INSERT INTO transactions (id, ref, note, posted_at_us) VALUES (3, 'adjust:org_acme:sorry', 'an outage', 1700000000000026);

INSERT INTO entries (transaction_id, account_id, amount_nano_usd)
    SELECT 3, id, -500 FROM accounts WHERE kind = 'adjustments' UNION ALL SELECT 3, 4, 500;
