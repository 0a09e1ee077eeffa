-- The newest imports of a kind, by imports_created; of one person when $2 is given.
SELECT id, kind, created_at, actor_id, actor, network, file_name, sha256, bytes, format, notices, state, summary, leave_out, total, done, ended_at, outcome
FROM imports WHERE kind = $1 AND ($2 = '' OR actor_id = $2)
ORDER BY created_at DESC LIMIT $3
