-- Writes what was given back of one payment's lines, and its other charges: arrays
-- of arrays do not unnest, and these are few. Index: payments_pkey.
UPDATE payments
SET lines_refunded = $2, lines_lost = $3, others = $4
WHERE donation_id = $1
