-- Share-locks the slot's term for this transaction; no row when it has moved on.
-- Index: slot_terms_pkey.
SELECT 1
FROM slot_terms
WHERE slot = $1
  AND term = $2 AND epoch = $3 -- the lease fence
FOR SHARE
