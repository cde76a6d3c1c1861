INSERT INTO model_names (name, endpoint, owner, served_model, display_name, organization, context_length, created_at_us) VALUES
    ('deepseek-ai/DeepSeek-R1', 'endpoint-pool', NULL, 'deepseek-ai/DeepSeek-R1-0528', 'DeepSeek R1', 'DeepSeek', 163840, 1700000000000017),
    ('acme/r1-gone', 'endpoint-gone', 'org_acme', 'deepseek-ai/DeepSeek-R1-0528', 'ours', 'DeepSeek', 163840, 1700000000000018);

INSERT INTO prices (version, name, input_nano_usd, cached_input_nano_usd, output_nano_usd, per_minute_nano_usd, created_at_us) VALUES
    (1, 'deepseek-ai/DeepSeek-R1', 3000, 3000, 7000, 0, 1700000000000019),
    (2, 'deepseek-ai/DeepSeek-R1', 550, 140, 2190, 0, 1700000000000020),
    (3, 'acme/r1-gone', 0, 0, 0, 20000000, 1700000000000021);
