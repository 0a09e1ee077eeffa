-- Whose captures are booked under these names: the journal's own key finds every
-- charge that ever moved money. Index: entries_ref_once.
SELECT ref, donation_id
FROM entries
WHERE ref = ANY ($1::text[]) AND donation_id IS NOT NULL
