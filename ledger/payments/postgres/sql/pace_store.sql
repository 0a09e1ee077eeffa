-- Stores a bucket that the caller has locked. Index: pace_pkey.
UPDATE spillway.pace
SET current = $3, slowed_at = $4, tokens = $5, filled_at = $6
WHERE account = $1 AND endpoint = $2
