INSERT INTO endpoints (id, name, display_name, model, hardware, type, owner, desired, state, reason, min_replicas, max_replicas,
    inactive_timeout_minutes, generation, created_at_us, target_replicas, last_active_at_us) VALUES
    ('endpoint-scaled', 'acme/r1-scaled', 'to none and back', 'deepseek-ai/DeepSeek-R1-0528', '8x_h200', 'dedicated', 'org_acme',
        'STARTED', 'STARTED', '', 0, 4, 15, 1, 1700000000000035, 3, 1700000000000036);
