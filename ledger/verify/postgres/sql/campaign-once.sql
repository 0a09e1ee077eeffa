-- A donation names a campaign in one line at most: a line is then a donation to it.
-- examined
SELECT count(*) FROM lines
-- offenders
SELECT coalesce(d.id::text, 'row ' || l.donation_seq), format('campaign %s in %s lines', l.campaign, l.times)
FROM (
    SELECT donation_seq, campaign, count(*) AS times
    FROM lines
    GROUP BY donation_seq, campaign
    HAVING count(*) > 1
) l
LEFT JOIN donations d ON d.seq = l.donation_seq
