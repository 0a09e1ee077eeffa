-- The last import of the same bytes that was applied and has not failed, by imports_applied.
SELECT coalesce(applied_at, ended_at, created_at) AS at, coalesce(nullif(applied_by, ''), actor), total FROM imports
WHERE sha256 = $2 AND kind = $1 AND state IN ('applying', 'done') AND id <> $3
ORDER BY at DESC LIMIT 1
