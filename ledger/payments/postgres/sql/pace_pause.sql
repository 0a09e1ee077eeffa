-- Stops an endpoint, or lets it go on; no row when it has no bucket. Index: pace_pkey.
UPDATE spillway.pace
SET paused = $3, changed_by = $4
WHERE account = $1 AND endpoint = $2
RETURNING 1
