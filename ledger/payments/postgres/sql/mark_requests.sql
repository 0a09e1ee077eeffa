-- Marks donors' requests as dealt with, in the transaction of their effect.
-- Index: requests_pkey.
UPDATE requests
SET done_at = now()
WHERE request = ANY ($1::uuid[]) AND done_at IS NULL
