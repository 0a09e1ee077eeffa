-- A donation is recorded once. The primary key says so; this counts.
-- examined
SELECT count(*) FROM donations
-- offenders
SELECT id::text, format('recorded %s times', count(*))
FROM donations
GROUP BY id
HAVING count(*) > 1
