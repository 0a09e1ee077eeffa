-- Notes when to look again at donations that have not changed. Index: search_states_pkey.
UPDATE search_states AS s
SET look_at = u.look_at
FROM unnest($1::bigint[], $2::timestamptz[]) AS u (seq, look_at)
WHERE s.seq = u.seq
