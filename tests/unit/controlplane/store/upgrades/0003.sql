INSERT INTO endpoints (id, name, display_name, model, hardware, type, owner, desired, state, reason, min_replicas, max_replicas,
    inactive_timeout_minutes, generation, created_at_us, deleted_at_us, idempotency_key) VALUES
    ('endpoint-pool', 'turnpike/r1-pool', 'DeepSeek R1', 'deepseek-ai/DeepSeek-R1-0528', '8x_h200', 'serverless', 'org_turnpike',
        'STARTED', 'STARTED', '', 2, 4, 0, 7, 1700000000000005, NULL, NULL),
    ('endpoint-gone', 'acme/r1-gone', 'ours', 'deepseek-ai/DeepSeek-R1-0528', '8x_h200', 'dedicated', 'org_acme', 'STOPPED',
        'STOPPED', 'asked', 1, 1, 30, 2, 1700000000000006, 1700000000000007, 'once');

INSERT INTO replicas (id, endpoint, replica_index, generation, epoch, state, address, reason, num_failures, state_since_us,
    forgotten_at_us) VALUES
    ('pool-0', 'endpoint-pool', 0, 7, 3, 'READY', 'unix:/run/r/pool-0/engine.sock', '', 0, 1700000000000008, NULL),
    ('gone-0', 'endpoint-gone', 0, 2, 9, 'STOPPED', 'unix:/run/r/gone-0/engine.sock', 'asked', 1, 1700000000000009, 1700000000000010);

INSERT INTO operations (id, endpoint, kind, generation, actor, created_at_us, finished_at_us) VALUES
    (1, 'endpoint-pool', 'create', 1, 'settings', 1700000000000011, 1700000000000012),
    (2, 'endpoint-pool', 'update', 7, 'operator', 1700000000000013, NULL);

INSERT INTO operation_steps (id, endpoint, replica, action, started_at_us, finished_at_us, outcome) VALUES
    (1, 'endpoint-pool', 'pool-0', 'start', 1700000000000014, 1700000000000015, 'done'),
    (2, 'endpoint-pool', 'pool-0', 'drain', 1700000000000016, NULL, '');
