-- Adds to what donors gave to campaigns, and returns what each then has. The rows that
-- are nobody's any more are removed afterwards. Index: search_donors_pkey.
INSERT INTO search_donors AS d (donor, campaign, gifts)
SELECT u.donor, u.campaign, u.gifts
FROM unnest($1::uuid[], $2::text[], $3::int[]) AS u (donor, campaign, gifts)
ORDER BY u.donor, u.campaign
ON CONFLICT (donor, campaign) DO UPDATE
SET gifts = d.gifts + excluded.gifts
RETURNING d.donor, d.campaign, d.gifts
