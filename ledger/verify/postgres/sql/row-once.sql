-- No constraint holds a row number apart from another, and lines hang on it: two
-- donations with one number would own each other's lines.
-- examined
SELECT count(*) FROM donations
-- offenders
SELECT d.id::text, format('shares the row number %s with %s others', d.seq, s.times - 1)
FROM (SELECT seq, count(*) AS times FROM donations GROUP BY seq HAVING count(*) > 1) s
JOIN donations d ON d.seq = s.seq
