-- The newest gifts of some campaigns' walls, as stored: who may see what of them is
-- decided by the reader. Indexes: search_campaigns_pkey, search_feed_pkey,
-- search_donations_pkey, search_hidden_pkey.
SELECT c.campaign, c.donors, c.version, d.id, d.received_at, d.currency, d.anonymous, d.hide_amount, d.name, d.message, d.dedication, d.campaigns, d.amounts, coalesce(h.what, 0)
FROM search_campaigns c
LEFT JOIN LATERAL (
    SELECT f.seq, f.received_at FROM search_feed f
    WHERE f.campaign = c.campaign
    ORDER BY f.received_at DESC, f.seq DESC
    LIMIT $2
) AS f ON true
LEFT JOIN search_donations d ON d.seq = f.seq
LEFT JOIN search_hidden h ON h.seq = f.seq
WHERE c.campaign = ANY ($1::text[])
ORDER BY c.campaign, f.received_at DESC, f.seq DESC
