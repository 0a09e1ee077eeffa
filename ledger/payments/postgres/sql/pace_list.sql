-- All buckets, for people. A handful of rows: no index.
SELECT account, endpoint, per_second, current, slowed_at, tokens, filled_at, paused, changed_by, clock_timestamp()
FROM spillway.pace
ORDER BY account, endpoint COLLATE "C"
