-- A ledger that cannot be changed unseen: transactions and accounts are kept like entries, and each
-- transaction is a link of a hash chain (ledger_chain.h). SQL has no SHA-256, so the links of
-- transactions that are older than this migration are made at the first start after it, in one
-- transaction with link 0. Money given or taken without a payment has an account of its own.
PRAGMA defer_foreign_keys = ON;

CREATE TEMP TABLE accounts_before AS SELECT * FROM accounts;

DROP TABLE accounts;

CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('external', 'prepaid', 'revenue', 'adjustments')),
    org TEXT REFERENCES organisations (id),
    balance_nano_usd INTEGER NOT NULL,
    CHECK ((kind = 'prepaid') = (org IS NOT NULL))
) STRICT;

INSERT INTO accounts (id, kind, org, balance_nano_usd)
    SELECT id, kind, org, balance_nano_usd FROM accounts_before ORDER BY id;

DROP TABLE accounts_before;

INSERT INTO accounts (kind, org, balance_nano_usd) VALUES ('adjustments', NULL, 0);

CREATE UNIQUE INDEX accounts_by_owner ON accounts (kind, ifnull(org, ''));

CREATE TRIGGER accounts_keep_their_owner BEFORE UPDATE OF id, kind, org ON accounts
BEGIN
    SELECT RAISE(ABORT, 'an account keeps its owner');
END;

CREATE TRIGGER accounts_are_kept BEFORE DELETE ON accounts
BEGIN
    SELECT RAISE(ABORT, 'an account is kept');
END;

CREATE TRIGGER transactions_are_immutable BEFORE UPDATE ON transactions
BEGIN
    SELECT RAISE(ABORT, 'a ledger transaction is immutable');
END;

CREATE TRIGGER transactions_are_kept BEFORE DELETE ON transactions
BEGIN
    SELECT RAISE(ABORT, 'a ledger transaction is kept');
END;

CREATE TABLE chain (
    transaction_id INTEGER PRIMARY KEY CHECK (transaction_id >= 0), -- 0: where the chain begins
    hash TEXT NOT NULL CHECK (length(hash) = 64)
) STRICT;

CREATE TRIGGER chain_is_immutable BEFORE UPDATE ON chain
BEGIN
    SELECT RAISE(ABORT, 'a link of the ledger chain is immutable');
END;

CREATE TRIGGER chain_is_kept BEFORE DELETE ON chain
BEGIN
    SELECT RAISE(ABORT, 'a link of the ledger chain is kept');
END;
