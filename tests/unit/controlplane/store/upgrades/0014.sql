UPDATE endpoints SET rollout = 4 WHERE id = 'endpoint-gone';

INSERT INTO model_runs (model, digest, changed_at_us) VALUES
    ('deepseek-ai/DeepSeek-R1-0528', '5f3c1d0d6c4f2b6b', 1700000000000038);
