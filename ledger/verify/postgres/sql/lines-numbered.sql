-- Lines are numbered 1 to N, at most 200, and belong to a donation.
-- examined
SELECT count(*) FROM lines
-- offenders
SELECT coalesce(d.id::text, 'row ' || l.donation_seq),
    CASE WHEN d.id IS NULL THEN format('%s lines of a donation that is not there', l.count)
         ELSE format('%s lines, numbered %s to %s', l.count, l.first, l.last) END
FROM (
    SELECT donation_seq, count(*), count(DISTINCT line_no) AS numbers, min(line_no) AS first, max(line_no) AS last,
        min(amount_minor) AS least_minor
    FROM lines
    GROUP BY donation_seq
) l
LEFT JOIN donations d ON d.seq = l.donation_seq
WHERE d.id IS NULL OR l.first <> 1 OR l.last <> l.count OR l.numbers <> l.count OR l.count > 200 OR l.least_minor < 1
