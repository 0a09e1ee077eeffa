-- One import without its plan, by imports_pkey.
SELECT id, kind, created_at, actor_id, actor, network, file_name, sha256, bytes, format, notices, state, summary, leave_out, total, done, ended_at, outcome
FROM imports WHERE id = $1
