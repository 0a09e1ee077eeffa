-- How many donations the run's campaigns have: lines, each of a donation of its
-- own where only one line is the run's. A small table, scanned.
SELECT coalesce(sum(donations), 0)::bigint
FROM slots
WHERE starts_with(campaign, $1)
