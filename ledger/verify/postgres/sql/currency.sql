-- A donation is in the currency of its campaigns. Campaigns that nobody knows are
-- named by campaign-known.
-- examined
SELECT count(*) FROM lines
-- offenders
SELECT d.id::text, format('%s to campaign %s, which takes %s', d.currency, c.slug, c.currency)
FROM lines l
JOIN donations d ON d.seq = l.donation_seq
JOIN campaigns.campaigns c ON c.slug = l.campaign AND NOT c.stub
WHERE c.currency <> d.currency
