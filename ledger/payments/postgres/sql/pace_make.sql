-- Makes buckets that are not there yet, full of nothing. Index: pace_pkey.
INSERT INTO spillway.pace (account, endpoint, per_second, current, tokens, filled_at, changed_by)
SELECT $1, p.endpoint, p.per_second, p.per_second, 0, clock_timestamp(), $4
FROM unnest($2::text[], $3::double precision[]) AS p (endpoint, per_second)
ORDER BY p.endpoint COLLATE "C"
ON CONFLICT DO NOTHING
