-- A total is the sum of its slots and equals the sum of its lines, in amount and
-- in number. Nothing raises yet: capturing comes with payments.
-- examined
SELECT count(DISTINCT (campaign, currency)) FROM slots
-- offenders
SELECT coalesce(s.campaign, l.campaign) || ' ' || coalesce(s.currency, l.currency),
    format('lines: pledged %s, donations %s; slots: pledged %s, raised %s, donations %s',
        coalesce(l.pledged_minor, 0), coalesce(l.donations, 0),
        coalesce(s.pledged_minor, 0), coalesce(s.raised_minor, 0), coalesce(s.donations, 0))
FROM (
    SELECT campaign, currency, sum(pledged_minor) AS pledged_minor, sum(raised_minor) AS raised_minor, sum(donations) AS donations
    FROM slots
    GROUP BY campaign, currency
) s
FULL JOIN (
    SELECT l.campaign, d.currency, sum(l.amount_minor) AS pledged_minor, count(DISTINCT l.donation_seq) AS donations
    FROM lines l
    JOIN donations d ON d.seq = l.donation_seq
    GROUP BY l.campaign, d.currency
) l ON l.campaign = s.campaign AND l.currency = s.currency
WHERE coalesce(l.pledged_minor, 0) <> coalesce(s.pledged_minor, 0)
    OR coalesce(l.donations, 0) <> coalesce(s.donations, 0)
    OR coalesce(s.raised_minor, 0) <> 0
