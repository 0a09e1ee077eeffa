-- The ledger refuses nothing, so a campaign that nobody entered has at most a stub.
-- examined
SELECT count(DISTINCT campaign) FROM lines
-- offenders
SELECT l.campaign, format('%s donations, %s', l.donations,
    CASE WHEN c.slug IS NULL THEN 'not even a stub' ELSE 'a stub: enter the campaign' END)
FROM (SELECT campaign, count(DISTINCT donation_seq) AS donations FROM lines GROUP BY campaign) l
LEFT JOIN campaigns.campaigns c ON c.slug = l.campaign
WHERE c.slug IS NULL OR c.stub
