INSERT INTO endpoints (id, name, display_name, model, hardware, type, owner, desired, state, reason, min_replicas, max_replicas,
    inactive_timeout_minutes, generation, created_at_us, disable_speculative_decoding) VALUES
    ('endpoint-plain', 'acme/r1-plain', 'without drafts', 'deepseek-ai/DeepSeek-R1-0528', '8x_h200', 'dedicated', 'org_acme', 'STARTED',
        'PENDING', '', 1, 3, 0, 1, 1700000000000034, 1);
