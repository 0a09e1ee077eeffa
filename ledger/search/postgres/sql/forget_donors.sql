-- Removes donors who count nowhere any more. Index: search_donors_pkey.
DELETE FROM search_donors AS d
USING unnest($1::uuid[], $2::text[]) AS u (donor, campaign)
WHERE d.donor = u.donor
  AND d.campaign = u.campaign
  AND d.gifts = 0
