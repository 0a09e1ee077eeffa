-- What a campaign's slots have pledged equals, in amount and in number, the lines of
-- the donations that neither failed nor were canceled, and what people booked by hand
-- (a correction of a refund's split is no command's: its ref is another).
-- examined
SELECT count(DISTINCT (campaign, currency)) FROM slots
-- offenders
SELECT coalesce(s.campaign, l.campaign) || ' ' || coalesce(s.currency, l.currency),
    format('gifts: pledged %s, donations %s; slots: pledged %s, donations %s',
        coalesce(l.pledged_minor, 0), coalesce(l.donations, 0), coalesce(s.pledged_minor, 0), coalesce(s.donations, 0))
FROM (
    SELECT campaign, currency, sum(pledged_minor) AS pledged_minor, sum(donations) AS donations
    FROM slots
    GROUP BY campaign, currency
) s
FULL JOIN (
    SELECT g.campaign, g.currency, sum(g.pledged_minor) AS pledged_minor, sum(g.donations) AS donations
    FROM (
        SELECT l.campaign, d.currency, sum(l.amount_minor) AS pledged_minor, count(DISTINCT l.donation_seq) AS donations
        FROM lines l
        JOIN donations d ON d.seq = l.donation_seq
        LEFT JOIN payments p ON p.donation_id = d.id
        WHERE coalesce(p.status, 'accepted') NOT IN ('failed', 'canceled')
        GROUP BY l.campaign, d.currency
        UNION ALL
        SELECT substr(b.account, 7), b.currency, -sum(b.amount_minor), count(*) FILTER (WHERE b.kind = 'offline_gift')
        FROM (SELECT kind, unnest(accounts) AS account, unnest(currencies) AS currency, unnest(amounts) AS amount_minor
              FROM entries WHERE kind = 'offline_gift' OR starts_with(ref, 'correction:')) b
        WHERE starts_with(b.account, 'gifts:')
        GROUP BY substr(b.account, 7), b.currency
    ) g
    GROUP BY g.campaign, g.currency
) l ON l.campaign = s.campaign AND l.currency = s.currency
WHERE coalesce(l.pledged_minor, 0) <> coalesce(s.pledged_minor, 0)
    OR coalesce(l.donations, 0) <> coalesce(s.donations, 0)
