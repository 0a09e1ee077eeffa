-- What a campaign's slots have raised is what the journal owes the campaign.
-- examined
SELECT count(DISTINCT (campaign, currency)) FROM slots
-- offenders
SELECT coalesce(s.campaign, j.campaign) || ' ' || coalesce(s.currency, j.currency),
    format('slots: raised %s; the journal owes %s', coalesce(s.raised_minor, 0), coalesce(j.owed_minor, 0))
FROM (
    SELECT campaign, currency, sum(raised_minor) AS raised_minor
    FROM slots
    GROUP BY campaign, currency
) s
FULL JOIN (
    SELECT substr(b.account, 7) AS campaign, b.currency, -sum(b.amount_minor) AS owed_minor
    FROM (SELECT unnest(accounts) AS account, unnest(currencies) AS currency, unnest(amounts) AS amount_minor FROM entries) b
    WHERE starts_with(b.account, 'gifts:')
    GROUP BY substr(b.account, 7), b.currency
) j ON j.campaign = s.campaign AND j.currency = s.currency
WHERE coalesce(s.raised_minor, 0) <> coalesce(j.owed_minor, 0)
