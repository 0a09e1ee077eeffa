-- Keeps an import that was planned.
INSERT INTO imports (id, kind, created_at, actor_id, actor, network, file_name, sha256, bytes, format, notices, summary, plan)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
