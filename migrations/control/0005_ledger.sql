-- Money: double entry. The balance beside each account is a cache that must equal the sum of its
-- entries. Entries are never changed; a mistake is corrected by a further transaction.
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('external', 'prepaid', 'revenue')),
    org TEXT REFERENCES organisations (id),
    balance_nano_usd INTEGER NOT NULL,
    CHECK ((kind = 'prepaid') = (org IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX accounts_by_owner ON accounts (kind, ifnull(org, ''));

CREATE TABLE transactions (
    id INTEGER PRIMARY KEY,
    ref TEXT NOT NULL UNIQUE, -- 'usage:<request id>', 'credit:<org>:<idempotency key>'
    note TEXT NOT NULL,
    posted_at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE entries (
    transaction_id INTEGER NOT NULL REFERENCES transactions (id),
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    amount_nano_usd INTEGER NOT NULL CHECK (amount_nano_usd <> 0),
    PRIMARY KEY (transaction_id, account_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX entries_by_account ON entries (account_id, amount_nano_usd);

CREATE TRIGGER entries_are_immutable BEFORE UPDATE ON entries
BEGIN
    SELECT RAISE(ABORT, 'a ledger entry is immutable');
END;

CREATE TRIGGER entries_are_kept BEFORE DELETE ON entries
BEGIN
    SELECT RAISE(ABORT, 'a ledger entry is kept');
END;

INSERT INTO accounts (kind, org, balance_nano_usd) VALUES ('external', NULL, 0), ('revenue', NULL, 0);
