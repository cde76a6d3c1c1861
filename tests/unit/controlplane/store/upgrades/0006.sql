INSERT INTO posted (month, sequence) VALUES ('2023-11', 2);

INSERT INTO rollups (org, day, model, is_billed, num_requests, prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens,
    cost_nano_usd) VALUES
    ('org_acme', '2023-11-14', 'deepseek-ai/DeepSeek-R1', 1, 1, 1, 0, 1, 1, 10000),
    ('org_acme', '2023-11-14', 'deepseek-ai/DeepSeek-R1', 0, 1, 5, 0, 0, 0, 0);
