-- usage-2023-11.db: a billed request and one that was written off, both posted.
INSERT INTO events (sequence, request_id, org, key, model, served_model, endpoint, replica, epoch, price_version, outcome, is_billed,
    http_status, prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, provider_reported, cost_nano_usd,
    written_off_nano_usd, opened_at_us, closed_at_us) VALUES
    (1, '01HF7YAT00TBE3XPQWS6TVEWFH', 'org_acme', 'key_ci', 'deepseek-ai/DeepSeek-R1', 'deepseek-ai/DeepSeek-R1-0528', 'endpoint-pool',
        'pool-0', 3, 1, 'completed', 1, 200, 1, 0, 1, 1, 0, 10000, 0, 1700000000000000, 1700000001000000),
    (2, '01HF7YAT03TBE3XPQWS6TVEWFH', 'org_acme', 'key_ci', 'deepseek-ai/DeepSeek-R1', 'deepseek-ai/DeepSeek-R1-0528', 'endpoint-pool',
        'pool-0', 3, 1, 'replica_failed', 0, 502, 5, 0, 0, 0, 0, 0, 15000, 1700000000000000, 1700000001000000);
