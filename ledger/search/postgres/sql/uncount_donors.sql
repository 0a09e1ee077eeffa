-- Takes from what donors gave to campaigns, and returns what each then has.
-- Index: search_donors_pkey.
UPDATE search_donors AS d
SET gifts = d.gifts + u.gifts
FROM unnest($1::uuid[], $2::text[], $3::int[]) AS u (donor, campaign, gifts)
WHERE d.donor = u.donor
  AND d.campaign = u.campaign
RETURNING d.donor, d.campaign, d.gifts
