-- Locks the payments of some donations, in the order of their IDs, and reads them.
-- Everything read after it in the same transaction is as new as the lock.
-- Index: payments_pkey.
SELECT donation_id, intent, charge, captured_minor, captured_at, fee_minor, fee_currency, cancel, lines_refunded, lines_lost, others
FROM payments
WHERE donation_id = ANY ($1::uuid[])
ORDER BY donation_id
FOR NO KEY UPDATE
