-- Contents that lost. Index: conflicts_pkey.
SELECT c.fingerprint, c.received_at, c.recorded_at
FROM %[1]s.conflicts c
WHERE c.id = $1
ORDER BY c.received_at, c.fingerprint
