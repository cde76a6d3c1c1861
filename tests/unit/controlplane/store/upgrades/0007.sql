-- Row 2 was deleted by hand, which nothing forbade.
INSERT INTO audit (id, at_us, actor, action, subject, detail) VALUES
    (1, 1700000000000024, 'operator', 'organisation.create', 'org_acme', 'acme'),
    (3, 1700000000000025, 'settings', 'price.set', 'deepseek-ai/DeepSeek-R1', 'version 2');
