-- Locks an endpoint's bucket and its account's, always in this order. Index: pace_pkey.
SELECT endpoint, per_second, current, slowed_at, tokens, filled_at, paused
FROM spillway.pace
WHERE account = $1 AND endpoint IN ('*', $2)
ORDER BY endpoint COLLATE "C"
FOR UPDATE
