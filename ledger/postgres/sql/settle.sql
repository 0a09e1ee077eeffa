-- Waits until no transaction of this term is in flight, whatever became of the
-- connection it was sent on; no row when the term has moved on. Index: slot_terms_pkey.
SELECT 1
FROM slot_terms
WHERE slot = $1
  AND term = $2 AND epoch = $3
FOR NO KEY UPDATE
