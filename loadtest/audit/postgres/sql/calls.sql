-- How many calls were made in all, and the pace of that endpoint with what a 429 has
-- left of it; NULL where nothing was ever charged. A scan of attempts.
SELECT now(), (SELECT coalesce(sum(calls), 0)::bigint FROM attempts), p.per_second, p.current, p.slowed_at
FROM (SELECT 1) AS one
LEFT JOIN spillway.pace AS p ON p.endpoint = $1
LIMIT 1
