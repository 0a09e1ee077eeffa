-- lines_minor is the sum of the lines, and there is at least one.
-- examined
SELECT count(*) FROM donations
-- offenders
SELECT d.id::text, format('lines_minor %s, its lines add up to %s', d.lines_minor, coalesce(l.added_minor, 0))
FROM donations d
LEFT JOIN (SELECT donation_seq, sum(amount_minor) AS added_minor FROM lines GROUP BY donation_seq) l
    ON l.donation_seq = d.seq
WHERE l.added_minor IS DISTINCT FROM d.lines_minor
