INSERT INTO prices (version, name, input_nano_usd, cached_input_nano_usd, output_nano_usd, per_minute_nano_usd, created_at_us,
    from_at_us, source) VALUES
    (4, 'deepseek-ai/DeepSeek-R1', 500, 100, 2000, 0, 1700000000000027, 1800000000000000, 'operator');

INSERT INTO quarantine (request_id, org, outbox, reason, record, received_at_us, released_at_us) VALUES
    ('01HF7YAT01TBE3XPQWS6TVEWFH', 'org_none', '01HF7YAT00', 'no organisation ''org_none''',
        '{"request_id":"01HF7YAT01TBE3XPQWS6TVEWFH","org":"org_none","key":"key_ci","model":"m","served_model":"m","endpoint":"e","replica":"r","epoch":1,"price_version":1,"outcome":"completed","http_status":200,"prompt_tokens":1,"cached_tokens":0,"completion_tokens":1,"reasoning_tokens":0,"provider_reported":false,"opened_at_us":1700000000000028,"closed_at_us":1700000000000029}',
        1700000000000030, NULL),
    ('01HF7YAT02TBE3XPQWS6TVEWFH', 'org_acme', '01HF7YAT00', 'no price version 9', '{}', 1700000000000031, 1700000000000032);
