-- The refunds of some donations, those that the processor has not named yet
-- included, each donation's in the order of the processor's IDs. Index: refunds_donation.
SELECT refund, donation_id, coalesce(processor_id, ''), charge, amount_minor, lines, status, created_at, seen_at
FROM refunds
WHERE donation_id = ANY ($1::uuid[])
ORDER BY donation_id, processor_id COLLATE "C", asked_at, refund
