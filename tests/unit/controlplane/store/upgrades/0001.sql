-- Rows as a control plane of version 1 left them. Each further file adds what its version brought; upgrade_test.cpp reads them.
INSERT INTO identity (singleton, store_id, revision) VALUES (1, '01M000000000000000STORE0NE', 3);

INSERT INTO published (kind, id, revision, body) VALUES
    ('organisations', 'org_acme', 1, '{"id":"org_acme","name":"acme","cache_salt":"5a17"}'),
    ('keys', 'key_old', 2, NULL),
    ('models', 'deepseek-ai/DeepSeek-R1', 3, '{"name":"deepseek-ai/DeepSeek-R1"}');
