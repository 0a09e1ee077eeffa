-- Makes the walls that are not there yet. Index: search_campaigns_pkey.
INSERT INTO search_campaigns (campaign, version)
SELECT u.campaign, 0
FROM unnest($1::text[]) AS u (campaign)
ORDER BY u.campaign
ON CONFLICT DO NOTHING
