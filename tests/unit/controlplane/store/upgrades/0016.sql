-- As a store that was restored, that cut its audit, and that deleted a month. The program links the rows of
-- the audit; row 1 is cut behind its anchor.
UPDATE identity SET store_id = '01M000000000000000REST0RED';

INSERT INTO audit_anchors (last_id, hash, num_cut, cut_at_us, signed_off_by)
    SELECT 1, hash, 1, 1700000000000039, 'retention' FROM audit_chain WHERE audit_id = 1;

INSERT INTO audit (id, at_us, actor, action, subject, detail)
    SELECT 4, 1700000000000039, 'retention', 'audit.cut', '1', '1 rows, the last with hash ' || hash FROM audit_chain WHERE audit_id = 1;

INSERT INTO retired_months (month, last_sequence, retired_at_us) VALUES ('2023-11', 2, 1700000000000040);

INSERT INTO retired_usage (month, org, replica, is_billed, num_events, num_with_cost, prompt_tokens, cached_tokens, completion_tokens,
    reasoning_tokens, cost_nano_usd, written_off_nano_usd) VALUES
    ('2023-11', 'org_acme', 'pool-0', 1, 1, 1, 1, 0, 1, 1, 10000, 0),
    ('2023-11', 'org_acme', 'pool-0', 0, 1, 0, 5, 0, 0, 0, 0, 15000);

DELETE FROM audit WHERE id = 1;

DELETE FROM audit_chain WHERE audit_id = 1;
