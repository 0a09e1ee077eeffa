-- The disputes of some donations, each donation's in the order of the processor's
-- IDs. Index: disputes_donation.
SELECT dispute, donation_id, charge, amount_minor, status, turned, fee_minor, fee_returned_minor, fee_currency, created_at, seen_at
FROM disputes
WHERE donation_id = ANY ($1::uuid[])
ORDER BY donation_id, dispute COLLATE "C"
