-- Takes up the oldest import of a kind that is to be applied and that nobody holds, by imports_applying.
UPDATE imports SET holder = $1, held_until = now() + $2::interval
WHERE id = (
    SELECT id FROM imports WHERE state = 'applying' AND kind = $3 AND held_until < now()
    ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id, kind, created_at, actor_id, actor, network, file_name, sha256, bytes, format, notices, state, summary, leave_out, total, done, ended_at, outcome
